#include "core/error.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>

namespace rmt {
namespace {

// What the first byte of a character says: how many bytes it has, and in which range the second
// one lies. After most it is any 10xxxxxx, as all further bytes are. The ranges are narrower where
// the rest would be a longer form than needed (E0, F0), a surrogate (ED), or too large (F4).
struct Second {
  size_t length;
  uint8_t least, most;
};
Second second_of(uint8_t first) {
  if (first >= 0xC2 && first <= 0xDF) return {2, 0x80, 0xBF};
  if (first == 0xE0) return {3, 0xA0, 0xBF};
  if (first == 0xED) return {3, 0x80, 0x9F};
  if (first >= 0xE1 && first <= 0xEF) return {3, 0x80, 0xBF};
  if (first == 0xF0) return {4, 0x90, 0xBF};
  if (first >= 0xF1 && first <= 0xF3) return {4, 0x80, 0xBF};
  if (first == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// C0, DEL and C1; the ends of lines and paragraphs; marks, embeddings, overrides and isolates that
// change the direction of text.
bool is_control(uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x200E || c == 0x200F ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](size_t i) { return uint8_t(text[i]); };
  if (byte(0) < 0x80) return 1;
  const Second s = second_of(byte(0));
  if (s.length == 0 || text.size() < s.length || byte(1) < s.least || byte(1) > s.most) return 0;
  for (size_t i = 2; i < s.length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  return s.length;
}

std::string printable(std::string_view text, bool lines) {
  std::string out;
  char escaped[16];
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const auto first = uint8_t(text[0]);
    uint32_t c = length < 2 ? first : first & (0x7F >> length);
    for (size_t i = 1; i < length; ++i) c = c << 6 | (uint8_t(text[i]) & 0x3F);
    if (length > 0 && (!is_control(c) || (lines && c == '\n'))) {
      out += text.substr(0, length);
    } else {
      const char* form = length < 2 ? "\\x%02x" : "\\u%04x";
      std::snprintf(escaped, sizeof escaped, form, unsigned(c));
      out += c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\r' ? "\\r" : escaped;
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

}  // namespace rmt
