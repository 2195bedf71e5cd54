// The one error type and the one check. Invalid use of the library throws rmt::Error with a message
// that names the thing and the remedy; the library itself never asserts, exits or aborts.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace rmt {

// Text from outside (a file's name, a class, a note in a file) as a terminal may show it. A control
// character could move the cursor, recolour or hide lines, so it is written out: \n, \t, \x1b,
// \u009b; so are a byte that is not UTF-8, \xff, and what turns the direction of a line around,
// \u202e. All other text stays as it is. With `lines`, a line's end stays, too.
std::string printable(std::string_view text, bool lines = false);

// Bytes of the character that the text begins with, in UTF-8 (RFC 3629: nothing longer than it must
// be, no surrogates, nothing beyond U+10FFFF); 0 where it begins with none.
size_t utf8_length(std::string_view text);

// Its message is printable, whatever was put into it; its line ends stay.
struct Error : std::runtime_error {
  explicit Error(const std::string& message) : std::runtime_error(printable(message, true)) {}
};

// The system is short of what all files need, such as descriptors or memory: no fault of the file
// that was about to be read, which must not be passed over as broken.
struct SystemError : Error {
  using Error::Error;
};

// str("softmax: bias ", shape) -> one std::string; anything with an operator<< goes.
template <class... Args>
std::string str(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

}  // namespace rmt

// CHECK(cond, parts...): throws Error(str(parts...)) when cond is false. The parts are evaluated
// only then.
#define CHECK(cond, ...)                           \
  do {                                             \
    if (!(cond)) [[unlikely]]                      \
      throw ::rmt::Error(::rmt::str(__VA_ARGS__)); \
  } while (0)
