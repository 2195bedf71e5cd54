// stb_image turns a palette's indices into its colours. So the decoder is given another file: the
// same compressed bytes below a header that says "grey". In both kinds a pixel is one number of the
// same bits, and the filters of PNG do not ask what a number means.
#include "data/images/label_png.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/files/input_file.h"
#include "data/images/decode.h"
#include "data/images/image.h"

namespace rmt::data {
namespace {

enum ColourType : uint8_t { kGrey = 0, kPalette = 3, kAlpha = 4 };
constexpr size_t kSignature = 8, kWidthAt = 16, kDepthAt = 24, kTypeAt = 25, kHeader = 26;

// bytes: of a PNG, the first kHeader of them at least.
void check_kind(const uint8_t* bytes, const std::string& name) {
  const uint8_t type = bytes[kTypeAt], depth = bytes[kDepthAt];
  const char* what = type == kAlpha                      ? "a PNG of grey and alpha"
                     : type != kGrey && type != kPalette ? "a PNG in colours"
                     : depth == 16                       ? "a PNG of 16 bits"
                                                         : nullptr;
  CHECK(!what, name, ": ", what,
        ", but each pixel of a label file is one number below 256; save "
        "the classes' numbers as an 8-bit grey PNG, or as one with a palette");
}

uint32_t big_endian(const uint8_t* p) {
  return uint32_t(p[0]) << 24 | uint32_t(p[1]) << 16 | uint32_t(p[2]) << 8 | p[3];
}

// The signature, the header as one of a grey image, the compressed bytes and the end. What else a
// PNG has concerns colours and texts. Checksums are left as they are: outline_of() has compared
// those of the original.
std::vector<uint8_t> as_grey(const uint8_t* bytes, size_t n) {
  std::vector<uint8_t> out(bytes, bytes + kSignature);
  for (size_t at = kSignature; at + 12 <= n;) {
    const size_t whole = size_t(big_endian(bytes + at)) + 12;
    const auto is = [&](const char* type) { return std::memcmp(bytes + at + 4, type, 4) == 0; };
    if (is("IHDR") || is("IDAT") || is("IEND"))
      out.insert(out.end(), bytes + at, bytes + at + whole);
    if (is("IEND")) break;
    at += whole;
  }
  out[kTypeAt] = kGrey;
  return out;
}

}  // namespace

GreyImage decode_label_png(const uint8_t* bytes, size_t n, const std::string& file) {
  const std::string name = printable(file);
  check_file_size(n, name);
  const Outline outline = outline_of(bytes, n, name);
  CHECK(!outline.jpeg, name,
        ": a JPEG, whose compression changes numbers; a label file is an "
        "8-bit PNG, grey or with a palette");
  check_kind(bytes, name);
  const std::vector<uint8_t> grey = as_grey(bytes, n);
  GreyImage image{outline.width, outline.height, {}};
  decode_pixels(grey.data(), grey.size(), outline, 1, name, [&](const uint8_t* values) {
    image.values.assign(values, values + outline.width * outline.height);
  });
  // The decoder has stretched `depth` bits to [0, 255], and refused what is no depth.
  const uint8_t depth = bytes[kDepthAt];
  if (bytes[kTypeAt] == kPalette && depth < 8)
    for (uint8_t& v : image.values) v = uint8_t(v / (255 / ((1 << depth) - 1)));
  return image;
}

GreyImage read_label_png(const std::string& path) {
  const InputFile file(path);
  check_file_size(file.size(), printable(path));
  const std::vector<uint8_t> bytes = file.read(file.size(), 0);
  return decode_label_png(bytes.data(), bytes.size(), path);
}

std::array<int64_t, 2> label_png_size(const std::string& path) {
  const InputFile file(path);
  const std::string name = printable(path);
  const auto begin = file.read(size_t(std::min<uint64_t>(file.size(), kHeader)), 0);
  CHECK(begin.size() == kHeader && std::memcmp(begin.data(), "\x89PNG\r\n\x1A\n", kSignature) == 0,
        name,
        ": not a PNG by its first bytes, as a label file must be; copy it again or convert it");
  check_kind(begin.data(), name);
  return {big_endian(begin.data() + kWidthAt), big_endian(begin.data() + kWidthAt + 4)};
}

}  // namespace rmt::data
