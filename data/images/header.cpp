#include "data/images/header.h"

#include "core/error.h"

namespace rmt::data {

ImageHeader image_header(const std::vector<uint8_t>& bytes) {
  auto at = [&](size_t i) { return i < bytes.size() ? bytes[i] : uint8_t(0); };
  auto number = [&](size_t i) { return at(i) << 8 | at(i + 1); };
  if (at(0) == 0x89) {  // IHDR: width at 16, height at 20, bit depth at 24, colour type at 25
    std::string kind = "PNG";
    if (at(25) == 0 || at(25) == 4) kind += ", grey";
    if (at(25) == 3) kind += ", palette";
    if (at(25) == 4 || at(25) == 6) kind += ", alpha";
    if (at(24) == 16) kind += ", 16 bits";
    return {kind, number(16) << 16 | number(18), number(20) << 16 | number(22)};
  }
  // The segments up to the frame header SOFn: its marker, length, precision, height, width,
  // components.
  for (size_t i = 2; i + 9 < bytes.size();) {
    if (at(i) != 0xFF || at(i + 1) == 0xFF || at(i + 1) == 1 ||
        (at(i + 1) >= 0xD0 && at(i + 1) <= 0xD9)) {
      i += at(i) == 0xFF && at(i + 1) != 0xFF ? 2 : 1;
      continue;
    }
    const uint8_t marker = at(i + 1);
    if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC) {
      const int components = at(i + 9);
      return {str("JPEG",
                  components == 1   ? ", grey"
                  : components == 4 ? ", CMYK"
                                    : "",
                  marker == 0xC2 ? ", progressive" : ""),
              number(i + 7), number(i + 5)};
    }
    i += 2 + size_t(number(i + 2));
  }
  return {"JPEG", 0, 0};
}

}  // namespace rmt::data
