// An instruction that is about to be computed, and what each of them computes. Internal to this
// folder.
#pragma once
#include <bit>
#include <cmath>
#include <vector>

#include "core/cuda/model/thread.h"

namespace rmt::gpu_model {

// An instruction's operands in their roles: D, P, Q = f(a, b, c, ...) with predicates that enter.
struct Call {
  Thread& t;
  const Instruction& i;
  int to = -1;                             // the register that is written
  int predicates[2] = {-1, -1};            // those that are written
  std::vector<const Operand*> from, when;  // what enters: numbers, predicates

  bool guess = false;  // did anything that entered depend on memory?
  uint32_t word(size_t n) {
    if (n >= from.size()) return 0;
    const Word w = t.word(*from[n]);
    guess |= w.guess;
    return w.bits;
  }
  // As a term of a sum that has a carry: -x is ~x + 1.
  uint64_t term(size_t n) {
    if (n >= from.size()) return 0;
    Operand o = *from[n];
    const bool minus = o.minus && o.kind != Operand::kNumber;
    if (minus) o.minus = false;
    const Word w = t.word(o);
    guess |= w.guess;
    return minus ? uint64_t(uint32_t(~w.bits)) + 1 : w.bits;
  }
  uint64_t pair(size_t n) {
    if (n >= from.size()) return 0;
    const Word64 w = t.pair(*from[n]);
    guess |= w.guess;
    return w.bits;
  }
  float real(size_t n) {
    if (n >= from.size()) return 0;
    Operand o = *from[n];
    const bool minus = o.minus && o.kind != Operand::kNumber, absolute = o.absolute;
    if (o.kind != Operand::kNumber) o.minus = false;
    const Word w = t.word(o);
    guess |= w.guess;
    float x = std::bit_cast<float>(w.bits);
    if (absolute) x = std::fabs(x);
    return minus ? -x : x;
  }
  bool bit(size_t n, bool otherwise) {
    if (n >= when.size()) return otherwise;
    const Bit b = t.bit(*when[n]);
    guess |= b.guess;
    return b.on;
  }
  void put(uint32_t bits) { t.set(to, Word{bits, guess}); }
  void put(float x) { put(std::bit_cast<uint32_t>(x)); }
  void put_pair(uint64_t bits) { t.set_pair(to, {bits, guess}); }
  void put_bit(int n, bool on) { t.set(predicates[n], Bit{on, guess}); }
};

// Predicate 0 = (holds) with another predicate, by the instruction's AND, OR or XOR; predicate 1
// the same of its opposite.
void put_comparison(Call& c, bool holds, bool with);
// a < b, a >= b, ... as the instruction says.
template <class T>
bool holds(const Instruction& i, T a, T b) {
  if (i.has("LT") || i.has("LTU")) return a < b;
  if (i.has("LE") || i.has("LEU")) return a <= b;
  if (i.has("GT") || i.has("GTU")) return a > b;
  if (i.has("GE") || i.has("GEU")) return a >= b;
  if (i.has("EQ") || i.has("EQU")) return a == b;
  if (i.has("NE") || i.has("NEU")) return a != b;
  return true;
}

// arithmetic.cpp: integers, bits, choices.
void add3(Call& c);
void multiply_add(Call& c);
void scaled_add(Call& c);
void add(Call& c);
void absolute(Call& c);
void extreme(Call& c);
void add_extreme(Call& c);
void logic(Call& c);
void predicate_logic(Call& c);
void shift(Call& c);
void permute(Call& c);
void count_bits(Call& c);
void leading_one(Call& c);
void reverse_bits(Call& c);
void select(Call& c);
void compare(Call& c);
void compare_real(Call& c);

// conversions.cpp: f32, moves, and what yields a guess.
void add_real(Call& c);
void multiply_real(Call& c);
void multiply_add_real(Call& c);
void extreme_real(Call& c);
void function(Call& c);
void to_real(Call& c);
void to_integer(Call& c);
void check_division(Call& c);
void move(Call& c);
void halves(Call& c);
void vote(Call& c);
void shuffle(Call& c);
void pack_predicates(Call& c);
void unpack_predicates(Call& c);
void guess(Call& c);
void guess_word(Call& c);
void guess_tile(Call& c);

}  // namespace rmt::gpu_model
