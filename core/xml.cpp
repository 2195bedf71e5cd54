#include "core/xml.h"

#include <cstdint>
#include <string_view>

#include "core/error.h"

namespace rmt {
namespace {

// Bytes of the character that the text begins with; 0 for what is not UTF-8, and for what has no
// place in XML 1.0: control characters, U+FFFE and U+FFFF.
size_t allowed_length(std::string_view text) {
  const size_t n = utf8_length(text);
  const auto byte = [&](size_t i) { return uint8_t(text[i]); };
  if (n == 1) return byte(0) >= 0x20 && byte(0) != 0x7F;
  const bool control = n == 2 && byte(0) == 0xC2 && byte(1) < 0xA0;  // U+0080 to U+009F
  const bool none = n == 3 && byte(0) == 0xEF && byte(1) == 0xBF && byte(2) >= 0xBE;
  return control || none ? 0 : n;
}

}  // namespace

std::string xml_text(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t n = allowed_length(std::string_view(text).substr(i));
    if (text[i] == '&')
      out += "&amp;";
    else if (text[i] == '<')
      out += "&lt;";
    else if (text[i] == '>')
      out += "&gt;";
    else if (text[i] == '"')
      out += "&quot;";
    else
      out += n ? text.substr(i, n) : "?";
    i += n ? n : 1;
  }
  return out;
}

}  // namespace rmt
