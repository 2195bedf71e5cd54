// An image file of any bytes, decoded whole; and its header, which is read without believing it and
// must say the same of a file that decodes.
#include "data/images/header.h"
#include "data/images/image.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/png_parts.h"

using namespace rmt;
using namespace rmt::data;

namespace {

const std::string kJpeg = "\xFF\xD8";

// Marker and content of each segment, without its length; the data behind SOS are a part that
// begins with a zero.
fuzz::Parts jpeg_segments(const std::string& bytes) {
  fuzz::Parts parts{kJpeg};
  for (size_t at = 2; at + 4 <= bytes.size();) {
    if (bytes[at] != '\xFF' || uint8_t(bytes[at + 1]) <= 1) {  // to the next marker
      size_t end = at + 1;
      while (end + 1 < bytes.size() && (bytes[end] != '\xFF' || uint8_t(bytes[end + 1]) <= 1 ||
                                        (uint8_t(bytes[end + 1]) & 0xF8) == 0xD0))
        ++end;
      parts.push_back('\0' + bytes.substr(at, end - at));
      at = end;
      continue;
    }
    const size_t length =
        std::clamp<size_t>(fuzz::number_at(bytes, at + 2, 2, true), 2, bytes.size() - at - 2);
    parts.push_back(bytes[at + 1] + bytes.substr(at + 4, length - 2));
    at += 2 + length;
  }
  return parts;
}

std::string jpeg_of(const fuzz::Parts& parts) {
  std::string out = kJpeg;
  for (const std::string& part : parts) {
    if (part.empty() || part == kJpeg || part[0] == '\xD9') continue;
    if (part[0] == 0)
      out += part.substr(1);
    else
      out += '\xFF' + part.substr(0, 1) + fuzz::number(part.size() + 1, 2, true) + part.substr(1);
  }
  return out + "\xFF\xD9";
}

fuzz::Parts split(const std::string& bytes) {
  return bytes.starts_with(fuzz::kPng) ? fuzz::png_chunks(bytes)
         : bytes.starts_with(kJpeg)    ? jpeg_segments(bytes)
                                       : fuzz::Parts{bytes};
}

std::string join(const fuzz::Parts& parts) {
  const auto has = [&](const std::string& begin) {
    return std::find(parts.begin(), parts.end(), begin) != parts.end();
  };
  return has(fuzz::kPng) ? fuzz::png_of(parts)
         : has(kJpeg)    ? jpeg_of(parts)
                         : fuzz::concatenated(parts);
}

}  // namespace

FORMAT(image, split, join)

FUZZ(image) {
  const ImageHeader header = image_header({data, data + size});
  Image image;
  if (!fuzz::result_or_error("x.jpg", [&] { image = decode_image(data, size, "x.jpg"); })) return;
  if (image.rgb.size() != size_t(image.width) * size_t(image.height) * 3) std::abort();
  if (header.width != image.width || header.height != image.height) std::abort();
}
