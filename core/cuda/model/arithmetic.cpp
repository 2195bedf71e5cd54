// What the instructions of sm_90 compute, as far as it decides where a thread goes: integers,
// predicates, conversions, and simple arithmetic of f32. The rest yields a guess.
#include <algorithm>
#include <bit>
#include <cmath>
#include <unordered_map>

#include "core/cuda/model/thread.h"

namespace rmt::gpu_model {
namespace {

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
  Operand first = *c.from[0];
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

using Handler = void (*)(Call&);
const std::unordered_map<std::string, Handler>& handlers() {
  static const std::unordered_map<std::string, Handler> all = {{"IADD3", add3},
                                                               {"UIADD3", add3},
                                                               {"IMAD", multiply_add},
                                                               {"UIMAD", multiply_add},
                                                               {"LEA", scaled_add},
                                                               {"ULEA", scaled_add},
                                                               {"VIADD", add},
                                                               {"IABS", absolute},
                                                               {"VIMNMX", extreme},
                                                               {"IMNMX", extreme},
                                                               {"UIMNMX", extreme},
                                                               {"VIADDMNMX", add_extreme},
                                                               {"LOP3", logic},
                                                               {"ULOP3", logic},
                                                               {"PLOP3", predicate_logic},
                                                               {"UPLOP3", predicate_logic},
                                                               {"SHF", shift},
                                                               {"USHF", shift},
                                                               {"PRMT", permute},
                                                               {"UPRMT", permute},
                                                               {"POPC", count_bits},
                                                               {"UPOPC", count_bits},
                                                               {"FLO", leading_one},
                                                               {"UFLO", leading_one},
                                                               {"BREV", reverse_bits},
                                                               {"UBREV", reverse_bits},
                                                               {"SEL", select},
                                                               {"USEL", select},
                                                               {"FSEL", select},
                                                               {"ISETP", compare},
                                                               {"UISETP", compare},
                                                               {"FSETP", compare_real},
                                                               {"FADD", add_real},
                                                               {"FMUL", multiply_real},
                                                               {"FFMA", multiply_add_real},
                                                               {"FMNMX", extreme_real},
                                                               {"MUFU", function},
                                                               {"I2F", to_real},
                                                               {"I2FP", to_real},
                                                               {"F2I", to_integer},
                                                               {"FCHK", check_division},
                                                               {"MOV", move},
                                                               {"UMOV", move},
                                                               {"R2UR", move},
                                                               {"HFMA2", halves},
                                                               {"VOTE", vote},
                                                               {"VOTEU", vote},
                                                               {"SHFL", shuffle},
                                                               {"P2R", pack_predicates},
                                                               {"R2P", unpack_predicates},
                                                               {"HMMA", guess_tile},
                                                               {"F2FP", guess_word},
                                                               {"HADD2", guess_word},
                                                               {"HMUL2", guess_word},
                                                               {"HMNMX2", guess_word},
                                                               {"F2F", guess},
                                                               {"DADD", guess},
                                                               {"DMUL", guess},
                                                               {"DFMA", guess},
                                                               {"DSETP", guess},
                                                               {"HSETP2", guess},
                                                               {"I2I", move},
                                                               {"REDUX", guess_word},
                                                               {"MOVM", guess_word},
                                                               {"LEPC", guess},
                                                               {"MATCH", guess_word},
                                                               {"FSWZADD", guess_word}};
  return all;
}

// Which operands are written: the predicates before and behind the first register, and that.
void assign_roles(Call& c) {
  const std::string& n = c.i.name;
  const bool no_register =
      n.ends_with("SETP") || n == "PLOP3" || n == "UPLOP3" || n == "FCHK" || n == "HSETP2";
  const size_t most = n == "FCHK" ? 1 : 2;
  size_t k = 0, found = 0;
  const std::vector<Operand>& all = c.i.operands;
  auto take_predicates = [&] {
    while (k < all.size() && all[k].kind == Operand::kPredicate && found < most &&
           !((n == "VOTE" || n == "VOTEU") && k + 1 == all.size()))
      c.predicates[found++] = all[k++].index;
  };
  take_predicates();
  if (!no_register && k < all.size() && all[k].kind == Operand::kRegister) {
    c.to = all[k++].index;
    if (n != "SEL" && n != "FSEL" && n != "USEL") take_predicates();
  }
  for (; k < all.size(); ++k)
    (all[k].kind == Operand::kPredicate ? c.when : c.from).push_back(&all[k]);
}

}  // namespace

bool compute(Thread& thread, const Instruction& i) {
  const auto handler = handlers().find(i.name);
  Call c{thread, i};
  if (i.name == "R2P") {
    c.from = {&i.operands[1], &i.operands[2]};
  } else {
    assign_roles(c);
  }
  if (handler == handlers().end()) {
    guess_word(c);
    return false;
  }
  handler->second(c);
  return true;
}

}  // namespace rmt::gpu_model
