// What the instructions of sm_90 compute, as far as it decides where a thread goes: integers, bits
// and predicates.
#include <algorithm>

#include "core/cuda/model/call.h"

namespace rmt::gpu_model {

// --- sums and products ---

void add3(Call& c) {
  uint64_t sum = c.term(0) + c.term(1) + c.term(2);
  if (c.i.has("X")) sum += uint64_t(c.bit(0, false)) + c.bit(1, false);
  c.put(uint32_t(sum));
  c.put_bit(0, (sum >> 32) >= 1);
  c.put_bit(1, (sum >> 32) >= 2);
}

uint64_t product(Call& c) {
  const uint32_t a = c.word(0), b = c.word(1);
  return c.i.has("U32") ? uint64_t(a) * b : uint64_t(int64_t(int32_t(a)) * int32_t(b));
}

void multiply_add(Call& c) {
  if (c.i.has("WIDE")) {
    const uint64_t p = product(c), addend = c.pair(2);
    uint64_t sum = p + addend;
    bool carry = sum < p;
    if (c.i.has("X") && c.bit(0, false)) carry |= ++sum == 0;
    c.put_pair(sum);
    c.put_bit(0, carry);
  } else if (c.i.has("HI")) {
    const uint64_t p = product(c), sum = p + c.pair(2);
    c.put_bit(0, sum < p);
    c.put(uint32_t(sum >> 32));
  } else {
    uint32_t x = c.word(0) * c.word(1) + c.word(2);
    if (c.i.has("X")) x += c.bit(0, false);
    c.put(x);
  }
}

void scaled_add(Call& c) {  // LEA
  const bool high = c.i.has("HI"), extended = c.i.has("SX32");
  const size_t shift_at = high && !extended ? 3 : 2;
  const uint32_t shift = c.word(shift_at) & 31;
  uint64_t a = c.word(0);
  if (extended)
    a = uint64_t(int64_t(int32_t(a)));
  else if (high)
    a |= uint64_t(c.word(2)) << 32;
  const uint64_t scaled = a << shift;
  uint64_t sum = high ? scaled >> 32 : scaled & 0xffffffff;
  sum += c.term(1);
  if (c.i.has("X")) sum += c.bit(0, false);
  c.put(uint32_t(sum));
  c.put_bit(0, sum >> 32);
}

void add(Call& c) { c.put(c.word(0) + c.word(1)); }
void absolute(Call& c) { c.put(uint32_t(std::abs(int64_t(int32_t(c.word(0)))))); }

uint32_t lesser(Call& c, uint32_t a, uint32_t b, bool least) {
  const bool below = c.i.has("U32") ? a < b : int32_t(a) < int32_t(b);
  return below == least ? a : b;
}
void extreme(Call& c) {
  const uint32_t a = c.word(0), b = c.word(1);
  c.put(lesser(c, a, b, c.bit(0, true)));
}
void add_extreme(Call& c) {
  const uint32_t a = c.word(0) + c.word(1), b = c.word(2);
  c.put(lesser(c, a, b, c.bit(0, true)));
}

// --- bits ---

// The bits x of each place that `table` maps (a, b, c) to.
uint32_t by_table(uint32_t a, uint32_t b, uint32_t c, uint32_t table) {
  uint32_t x = 0;
  for (uint32_t n = 0; n < 8; ++n)
    if (table >> n & 1) x |= (n & 4 ? a : ~a) & (n & 2 ? b : ~b) & (n & 1 ? c : ~c);
  return x;
}
void logic(Call& c) {
  const uint32_t x = by_table(c.word(0), c.word(1), c.word(2), c.word(3));
  c.put(x);
  c.put_bit(0, x != 0 || c.bit(0, false));
}
void predicate_logic(Call& c) {
  const uint32_t p = c.bit(0, true), q = c.bit(1, true), r = c.bit(2, true);
  for (int n = 0; n < 2; ++n) c.put_bit(n, c.word(size_t(n)) >> (4 * p + 2 * q + r) & 1);
}

void shift(Call& c) {
  const uint64_t x = uint64_t(c.word(2)) << 32 | c.word(0);
  const bool wide = c.i.has("U64") || c.i.has("S64");
  const uint32_t by =
      c.i.has("W") ? c.word(1) & (wide ? 63 : 31) : std::min<uint32_t>(c.word(1), wide ? 63 : 32);
  const bool sign = c.i.has("S32") || c.i.has("S64");
  const uint64_t y = c.i.has("L") ? x << by : sign ? uint64_t(int64_t(x) >> by) : x >> by;
  c.put(uint32_t(c.i.has("HI") ? y >> 32 : y));
}

void permute(Call& c) {
  const uint64_t bytes = uint64_t(c.word(2)) << 32 | c.word(0);
  const uint32_t selector = c.word(1);
  uint32_t x = 0;
  for (int n = 0; n < 4; ++n) {
    const uint32_t which = selector >> (4 * n) & 15;
    uint32_t byte = uint32_t(bytes >> (8 * (which & 7)) & 0xff);
    if (which & 8) byte = byte & 0x80 ? 0xff : 0;
    x |= byte << (8 * n);
  }
  c.put(x);
}

void count_bits(Call& c) { c.put(uint32_t(std::popcount(c.word(0)))); }
void leading_one(Call& c) {
  uint32_t x = c.word(0);
  if (!c.i.has("U32") && int32_t(x) < 0) x = ~x;
  const uint32_t zeros = uint32_t(std::countl_zero(x));
  c.put(x == 0 ? ~0u : c.i.has("SH") ? zeros : 31 - zeros);
}
void reverse_bits(Call& c) {
  uint32_t x = c.word(0), y = 0;
  for (int n = 0; n < 32; ++n) y |= (x >> n & 1) << (31 - n);
  c.put(y);
}

// --- choices ---

void select(Call& c) {
  const bool first = c.bit(0, true);
  c.put(first ? c.word(0) : c.word(1));
}

void put_comparison(Call& c, bool holds, bool with) {
  auto joined = [&](bool x) {
    return c.i.has("OR") ? x || with : c.i.has("XOR") ? x != with : x && with;
  };
  c.put_bit(0, joined(holds));
  c.put_bit(1, joined(!holds));
}
void compare(Call& c) {
  const uint32_t a = c.word(0), b = c.word(1);
  bool yes = c.i.has("U32") ? holds(c.i, a, b) : holds(c.i, int32_t(a), int32_t(b));
  if (c.i.has("EX")) {  // the upper halves: where these are equal, the lower ones decide
    const bool lower = c.bit(1, true);
    const bool strict = c.i.has("U32") ? (c.i.has("LT") || c.i.has("LE") ? a < b : a > b)
                                       : (c.i.has("LT") || c.i.has("LE") ? int32_t(a) < int32_t(b)
                                                                         : int32_t(a) > int32_t(b));
    yes = c.i.has("EQ")   ? a == b && lower
          : c.i.has("NE") ? a != b || lower
                          : strict || (a == b && lower);
  }
  put_comparison(c, yes, c.bit(0, true));
}
void compare_real(Call& c) { put_comparison(c, holds(c.i, c.real(0), c.real(1)), c.bit(0, true)); }

}  // namespace rmt::gpu_model
