// The one error type and the one check. Invalid use of the library throws rmt::Error with a message
// that names the thing and the remedy; the library itself never asserts, exits or aborts.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace rmt {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
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
