#include "core/cuda/model/thread.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <utility>

namespace rmt::gpu_model {
namespace {

// Where the launch's parameters begin in constant bank 0 of sm_90, behind what describes the grid.
constexpr int64_t kParameters = 0x210;
// A thread that executes more than this is stopped: its loop's end was not understood.
constexpr int64_t kMost = 2'000'000;

uint32_t special(const Place& p, const std::string& name) {
  if (name == "SR_TID.X") return p.in_block.x;
  if (name == "SR_TID.Y") return p.in_block.y;
  if (name == "SR_TID.Z") return p.in_block.z;
  if (name == "SR_CTAID.X") return p.in_grid.x;
  if (name == "SR_CTAID.Y") return p.in_grid.y;
  if (name == "SR_CTAID.Z") return p.in_grid.z;
  if (name == "SR_LANEID")
    return (p.in_block.x + p.block.x * (p.in_block.y + p.block.y * p.in_block.z)) % 32;
  return 0;  // clocks, masks, the cluster's rank
}

int access_bytes(const Instruction& i) {
  if (i.has("128")) return 16;
  if (i.has("64")) return 8;
  if (i.has("U16") || i.has("S16")) return 2;
  if (i.has("U8") || i.has("S8")) return 1;
  return 4;
}

bool is_one_of(const std::string& name, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [&](const char* n) { return name == n; });
}

// Does the instruction access memory? Then it is done.
bool access(Thread& t, const Instruction& i) {
  const bool atomic = is_one_of(i.name, {"RED", "REDG", "ATOM", "ATOMG"});
  const bool global_read = atomic || is_one_of(i.name, {"LDG", "LD", "LDGSTS"});
  const bool global_write = atomic || is_one_of(i.name, {"STG", "ST"});
  const bool near_read = is_one_of(i.name, {"LDS", "LDL", "LDSM", "ATOMS"});
  const bool near_write = is_one_of(i.name, {"STS", "STL"});
  if (!global_read && !global_write && !near_read && !near_write) return false;
  // A register before the memory is loaded, one behind it is stored.
  const Operand *memory = nullptr, *loaded = nullptr, *stored = nullptr;
  for (const Operand& o : i.operands)
    if (o.kind == Operand::kMemory)
      memory = &o;  // the last, as in LDGSTS [shared], [global]
    else if (o.kind == Operand::kRegister)
      (memory ? stored : loaded) = &o;
  if (!memory) return true;
  const int bytes = access_bytes(i), words = i.name == "LDSM" ? 4 : bytes > 4 ? bytes / 4 : 1;
  const uint64_t at = t.address(*memory);
  if (global_read) t.result.accesses.push_back({at, uint32_t(bytes), false});
  if (global_write) t.result.accesses.push_back({at, uint32_t(bytes), true});
  // Local memory lies apart from the shared one.
  const uint64_t near = at + (i.name.back() == 'L' ? uint64_t(1) << 63 : 0);
  for (int w = 0; w < words; ++w) {
    if (near_write && stored) {
      Operand part = *stored;
      if (part.index != kZero) part.index += w;
      t.near[near + 4 * uint64_t(w)] = t.word(part);
    }
    if (!loaded || global_write || i.name == "LDGSTS" || loaded->index + w >= kZero) continue;
    const auto known = t.near.find(near + 4 * uint64_t(w));
    const bool own = near_read && i.name != "LDSM" && known != t.near.end();
    t.set(loaded->index + w,
          own ? known->second : Word{bytes == 2 ? kGuess & 0xffff : kGuess, true});
  }
  return true;
}

// A constant, from a place that may depend on a register.
bool load_constant(Thread& t, const Instruction& i) {
  if ((i.name != "LDC" && i.name != "ULDC") || i.operands.size() < 2) return false;
  const Operand& from = i.operands[1];
  Word base = from.base >= 0 ? t.registers[from.base] : Word{};
  const int64_t at = int32_t(base.bits) + from.offset;
  const int to = i.operands[0].index;
  if (to < 0) return true;
  for (int w = 0; w < (i.has("64") ? 2 : 1); ++w) {
    Word value = t.constant(from.bank, at + 4 * w);
    if (i.has("U8") || i.has("S8")) value.bits &= 0xff;
    if (i.has("U16") || i.has("S16")) value.bits &= 0xffff;
    value.guess |= base.guess;
    t.set(to + w, value);
  }
  return true;
}

bool is_idle(const std::string& name) {
  return is_one_of(name, {"NOP", "BSSY", "BSYNC", "BAR", "WARPSYNC", "ENDCOLLECTIVE", "LDGDEPBAR",
                          "DEPBAR", "MEMBAR", "ERRBAR", "CCTL", "YIELD", "BREAK", "BMOV"});
}

// Where the walk goes on after a branch, a call or an exit; -1 at the end. `next` is the
// instruction behind it, `taken` whether its predicates hold.
int after_branch(const Instruction& i, bool taken, int next, std::vector<int>& calls) {
  if (!taken) return next;
  if (i.name == "EXIT") return -1;
  if (i.name == "BRA") return i.has("DIV") ? next : i.target;  // DIV: the lanes are together
  if (i.name == "CALL") {
    calls.push_back(next);
    return i.target;
  }
  if (calls.empty()) return -1;  // RET
  const int back = calls.back();
  calls.pop_back();
  return back;
}

bool is_branch(const std::string& name) { return is_one_of(name, {"BRA", "EXIT", "CALL", "RET"}); }

}  // namespace

Word Thread::constant(int bank, int64_t offset) const {
  if (bank != 0) return {0, true};  // tables of the compiler's
  const uint32_t grid[] = {place.block.x, place.block.y, place.block.z,
                           place.grid.x,  place.grid.y,  place.grid.z};
  if (offset >= 0 && offset < 24) return {grid[offset / 4], false};
  const int64_t at = offset - kParameters;
  Word value;
  if (at < 0 || at >= int64_t(arguments.size())) return value;
  std::memcpy(&value.bits, arguments.data() + at,
              std::min<size_t>(4, arguments.size() - size_t(at)));
  return value;
}

Word Thread::word(const Operand& o) const {
  Word value;
  if (o.kind == Operand::kNumber) return {o.number, false};
  if (o.kind == Operand::kRegister) value = registers[o.index];
  if (o.kind == Operand::kConstant)
    value = constant(o.bank, o.offset + (o.base >= 0 ? int32_t(registers[o.base].bits) : 0));
  if (o.kind == Operand::kPredicate) return {bit(o).on, bit(o).guess};
  if (o.inverted) value.bits = ~value.bits;
  if (o.minus) value.bits = 0 - value.bits;
  return value;
}

Word64 Thread::pair(const Operand& o) const {
  Word64 value;
  if (o.kind == Operand::kNumber) return {uint64_t(int64_t(int32_t(o.number))), false};
  Word low, high;
  if (o.kind == Operand::kRegister) {
    low = registers[o.index];
    const bool zero = o.index == kZero || o.index == kUniformZero;
    high = zero ? Word{} : registers[o.index + 1];
  } else if (o.kind == Operand::kConstant) {
    low = constant(o.bank, o.offset);
    high = constant(o.bank, o.offset + 4);
  }
  value = {uint64_t(high.bits) << 32 | low.bits, low.guess || high.guess};
  if (o.inverted) value.bits = ~value.bits;
  if (o.minus) value.bits = 0 - value.bits;
  return value;
}

Bit Thread::bit(const Operand& o) const {
  if (o.kind != Operand::kPredicate) return {};
  Bit value = predicates[o.index];
  value.on ^= o.inverted;
  return value;
}

uint64_t Thread::address(const Operand& o) const {
  uint64_t at = uint64_t(o.offset);
  if (o.base >= 0) {
    Operand base;
    base.kind = Operand::kRegister;
    base.index = o.base;
    at += o.wide ? pair(base).bits : uint64_t(int64_t(int32_t(registers[o.base].bits)));
  }
  if (o.uniform >= 0) at += registers[o.uniform].bits;
  return at;
}

void Thread::set(int index, Word value) {
  if (index >= 0 && index < kRegisters && index != kZero && index != kUniformZero)
    registers[index] = value;
}
void Thread::set_pair(int index, Word64 value) {
  set(index, Word{uint32_t(value.bits), value.guess});
  if (index != kZero && index != kUniformZero)
    set(index + 1, Word{uint32_t(value.bits >> 32), value.guess});
}
void Thread::set(int predicate, Bit value) {
  if (predicate >= 0 && predicate < kPredicates && predicate != kTrue && predicate != kUniformTrue)
    predicates[predicate] = value;
}

Walk walk(const Kernel& kernel, const Place& place, const std::vector<unsigned char>& arguments) {
  Thread t{.place = place, .arguments = arguments};
  t.predicates[kTrue].on = t.predicates[kUniformTrue].on = true;
  std::vector<int> calls;
  int at = 0;
  while (at >= 0 && at < int(kernel.code.size())) {
    const Instruction& i = kernel.code[size_t(at)];
    if (++t.result.instructions > kMost) {
      t.result.unknown = "a loop without end";
      break;
    }
    Bit taken = t.bit(i.when);
    if (is_branch(i.name)) {
      for (const Operand& o : i.operands)
        if (o.kind == Operand::kPredicate)
          taken = {taken.on && t.bit(o).on, taken.guess || t.bit(o).guess};
      t.result.guesses += taken.guess && !i.has("DIV");
      at = after_branch(i, taken.on, at + 1, calls);
      continue;
    }
    ++at;
    if (!taken.on || is_idle(i.name)) continue;
    t.result.tensor_core += i.name == "HMMA" || i.name == "DMMA" || i.name == "HGMMA";
    if (i.name == "S2R" || i.name == "S2UR" || i.name == "CS2R") {
      const Word value{i.operands.size() > 1 ? special(place, i.operands[1].text) : 0, false};
      t.set(i.operands.empty() ? -1 : i.operands[0].index, value);
      if (i.name == "CS2R" && !i.has("32") && !i.operands.empty())
        t.set(i.operands[0].index + 1, Word{});
    } else if (!load_constant(t, i) && !access(t, i) && !compute(t, i) &&
               t.result.unknown.empty()) {
      t.result.unknown = i.name;
    }
  }
  return std::move(t.result);
}

}  // namespace rmt::gpu_model
