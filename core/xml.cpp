#include "core/xml.h"

#include <cstddef>

namespace rmt {
namespace {

// Bytes of the UTF-8 character (RFC 3629) that begins at s[i], or 0 for what is none or has no
// place in XML 1.0.
size_t utf8_length(const std::string& s, size_t i) {
  const auto at = [&](size_t k) { return k < s.size() ? static_cast<unsigned char>(s[k]) : 0u; };
  const unsigned c = at(i);
  if (c < 0x80) return c >= 0x20 && c != 0x7F;
  const size_t n = c >= 0xC2 && c < 0xE0   ? 2
                   : c >= 0xE0 && c < 0xF0 ? 3
                   : c >= 0xF0 && c < 0xF5 ? 4
                                           : 0;
  unsigned code = n ? c & (0x7F >> n) : 0;
  for (size_t k = 1; k < n; ++k) {
    if ((at(i + k) & 0xC0) != 0x80) return 0;
    code = code << 6 | (at(i + k) & 0x3F);
  }
  const bool too_long = (n == 3 && code < 0x800) || (n == 4 && code < 0x10000),
             no_character = (code >= 0xD800 && code < 0xE000) || code > 0x10FFFF;
  return too_long || no_character || code == 0xFFFE || code == 0xFFFF ||
                 (code >= 0x80 && code < 0xA0)
             ? 0
             : n;
}

}  // namespace

std::string xml_text(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t n = utf8_length(text, i);
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
