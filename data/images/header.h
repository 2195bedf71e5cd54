// What a JPEG or PNG says of itself at its beginning: enough to count a data set's kinds and sizes
// without decoding it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace rmt::data {

struct ImageHeader {
  std::string kind;               // "JPEG", "JPEG, grey", "JPEG, CMYK", "PNG, 16 bits", ...
  int64_t width = 0, height = 0;  // pixels; 0 where no header was found
};

// Of a file that decodes; of any other bytes, something.
ImageHeader image_header(const std::vector<uint8_t>& bytes);

}  // namespace rmt::data
