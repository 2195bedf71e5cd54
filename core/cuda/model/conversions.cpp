// Simple arithmetic of f32 and conversions, by which integers are divided; moves between registers;
// and numbers that decide nothing, which become guesses.
#include <algorithm>

#include "core/cuda/model/call.h"

namespace rmt::gpu_model {

// --- f32, as divisions of integers use it ---

void add_real(Call& c) { c.put(c.real(0) + c.real(1)); }
void multiply_real(Call& c) { c.put(c.real(0) * c.real(1)); }
void multiply_add_real(Call& c) { c.put(std::fma(c.real(0), c.real(1), c.real(2))); }
void extreme_real(Call& c) {
  const float a = c.real(0), b = c.real(1);
  c.put(c.bit(0, true) ? std::min(a, b) : std::max(a, b));
}
void function(Call& c) {
  const float x = c.real(0);
  if (c.i.has("RCP")) return c.put(1 / x);
  if (c.i.has("EX2")) return c.put(std::exp2(x));
  if (c.i.has("RSQ")) return c.put(1 / std::sqrt(x));
  c.guess = true;
  c.put(kGuess);
}
void to_real(Call& c) {
  if (c.i.has("F64")) return c.guess = true, c.put_pair(uint64_t(kGuess) << 32 | kGuess);
  if (c.i.has("U64")) return c.put(float(c.pair(0)));
  if (c.i.has("S64")) return c.put(float(int64_t(c.pair(0))));
  c.put(c.i.has("U32") ? float(c.word(0)) : float(int32_t(c.word(0))));
}
void to_integer(Call& c) {
  const double x = c.i.has("F64") ? 1 : double(c.real(0));
  if (c.i.has("F64")) c.guess = true;
  const double bounded = std::isnan(x) ? 0 : std::clamp(x, -9.2e18, 1.8e19);
  if (c.i.has("U64")) return c.put_pair(bounded < 0 ? 0 : uint64_t(bounded));
  if (c.i.has("S64")) return c.put_pair(uint64_t(int64_t(std::min(bounded, 9.2e18))));
  if (c.i.has("U32")) return c.put(uint32_t(std::clamp(bounded, 0., 4294967295.)));
  c.put(uint32_t(int32_t(std::clamp(bounded, -2147483648., 2147483647.))));
}
// Would a division need its slow path? Not with numbers like these.
void check_division(Call& c) {
  c.word(0);
  c.put_bit(0, false);
}

// --- moves ---

void move(Call& c) { c.put(c.word(0)); }
uint32_t half_bits(double x) {
  const uint32_t sign = std::signbit(x) ? 0x8000 : 0;
  x = std::fabs(x);
  if (x == 0 || !std::isfinite(x)) return sign | (x == 0 ? 0 : 0x7c00);
  int exponent = 0;
  std::frexp(x, &exponent);  // x in [2^(e - 1), 2^e)
  if (exponent < -13) return sign | uint32_t(std::lrint(std::ldexp(x, 24)));
  const uint32_t mantissa = uint32_t(std::lrint(std::ldexp(x, 11 - exponent)));  // with its 1
  return sign | ((uint32_t(exponent + 13) << 10) + mantissa);
}
// R = -0 * 0 + (x, y): how compilers write a constant into R with the units of fp16.
void halves(Call& c) {
  const bool constant = c.from.size() == 4 && c.from[2]->kind == Operand::kNumber;
  if (!constant) return c.guess = true, c.put(kGuess);
  c.put(half_bits(c.from[2]->decimal) << 16 | half_bits(c.from[3]->decimal));
}
// All lanes are thought to hold what this one does.
void vote(Call& c) {
  const bool on = c.when.empty() || c.bit(c.when.size() - 1, true);
  c.put(on ? ~0u : 0u);
  c.put_bit(0, on);
}
void shuffle(Call& c) {
  c.word(0);
  c.guess = true;
  const uint32_t x = c.word(0);
  c.put(x);
  c.t.set(c.predicates[0], Bit{true, false});
}
void pack_predicates(Call& c) {
  uint32_t x = 0;
  for (int n = 0; n < 7; ++n) x |= uint32_t(c.t.predicates[n].on) << n;
  const uint32_t mask = c.word(c.from.size() - 1);
  c.put((x & mask) | (c.word(c.from.size() - 2) & ~mask));
}
void unpack_predicates(Call& c) {
  const uint32_t x = c.word(0), mask = c.word(1);
  for (int n = 0; n < 7; ++n)
    if (mask >> n & 1) c.t.set(n, Bit{bool(x >> n & 1), c.guess});
}

// What reads and writes numbers that decide nothing.
void guess(Call& c) {
  c.guess = true;
  c.put_pair(uint64_t(kGuess) << 32 | kGuess);
  c.put_bit(0, false);
}
void guess_word(Call& c) {
  c.guess = true;
  c.put(kGuess);
  c.put_bit(0, false);
}
void guess_tile(Call& c) {
  for (int n = 0; n < 4; ++n) c.t.set(c.to + n, Word{kGuess, true});
}

}  // namespace rmt::gpu_model
