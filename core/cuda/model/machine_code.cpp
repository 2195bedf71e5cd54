#include "core/cuda/model/machine_code.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace rmt::gpu_model {
namespace {

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.front()))) s.remove_prefix(1);
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back()))) s.remove_suffix(1);
  return s;
}

bool starts(std::string_view s, std::string_view with) { return s.substr(0, with.size()) == with; }

// "0x1f" or "12"; what is neither is 0. Sums of these are far from the end of 64 bits.
uint64_t integer(std::string_view s) {
  return std::min(std::strtoull(std::string(s.substr(0, 32)).c_str(), nullptr, 0), 1ull << 40);
}

// The number of R12, UR4, P0, UP0 or their Z and T forms; -1 for anything else. `rest` is what
// follows it, ".64" say.
int register_number(std::string_view s, std::string_view* rest = nullptr) {
  const bool uniform = starts(s, "UR");
  if (!uniform && !starts(s, "R")) return -1;
  s.remove_prefix(uniform ? 2 : 1);
  size_t n = 0;
  int index = 0;
  if (starts(s, "Z"))
    index = n++ == 0 ? (uniform ? kUniformZero : kZero) : 0;
  else {
    while (n < s.size() && n < 4 && std::isdigit(static_cast<unsigned char>(s[n])))
      index = 10 * index + (s[n++] - '0');
    if (n == 0 || index >= (uniform ? 63 : 255)) return -1;
    if (uniform) index += kUniform;
  }
  if (n < s.size() && s[n] != '.') return -1;
  if (rest) *rest = s.substr(n);
  return index;
}

int predicate_number(std::string_view s) {
  const bool uniform = starts(s, "UP");
  if (!uniform && !starts(s, "P")) return -1;
  s.remove_prefix(uniform ? 2 : 1);
  if (s.size() != 1) return -1;
  const int base = uniform ? 8 : 0;
  if (s[0] == 'T') return base + 7;
  return s[0] >= '0' && s[0] <= '6' ? base + (s[0] - '0') : -1;
}

// "R8.64+UR4+0x10", "R5+-0x8" or "0x210" into base, uniform, offset.
void read_address(std::string_view s, Operand& operand) {
  while (!s.empty()) {
    size_t end = s.find('+');
    if (end == std::string_view::npos) end = s.size();
    std::string_view term = trimmed(s.substr(0, end)), rest;
    s.remove_prefix(std::min(s.size(), end + 1));
    const int index = register_number(term, &rest);
    if (index >= kUniform && operand.base >= 0)
      operand.uniform = index;
    else if (index >= 0) {
      operand.base = index;
      operand.wide = starts(rest, ".64");
    } else {
      const bool minus = starts(term, "-");
      if (minus) term.remove_prefix(1);
      operand.offset += minus ? -int64_t(integer(term)) : int64_t(integer(term));
    }
  }
}

// The text in the n-th pair of brackets, from 0 on.
std::string_view bracketed(std::string_view s, int n) {
  for (;; --n) {
    const size_t begin = s.find('['), end = s.find(']');
    if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return {};
    if (n == 0) return s.substr(begin + 1, end - begin - 1);
    s.remove_prefix(end + 1);
  }
}

void read_number(std::string_view s, Operand& operand) {
  operand.kind = Operand::kNumber;
  if (starts(s, "0x")) {
    operand.number = uint32_t(integer(s));
    if (operand.minus) operand.number = 0 - operand.number;
  } else {
    const float infinity = std::numeric_limits<float>::infinity();
    operand.decimal = starts(s, "INF")    ? infinity
                      : starts(s, "QNAN") ? std::nan("")
                                          : std::strtod(std::string(s).c_str(), nullptr);
    if (operand.minus) operand.decimal = -operand.decimal;
    operand.number = std::bit_cast<uint32_t>(float(operand.decimal));
  }
  operand.minus = false;
}

Operand read_operand(std::string_view s) {
  Operand operand;
  s = trimmed(s);
  if (starts(s, "+")) s.remove_prefix(1);
  if (starts(s, "-")) operand.minus = true, s.remove_prefix(1);
  if (starts(s, "~") || starts(s, "!")) operand.inverted = true, s.remove_prefix(1);
  if (starts(s, "|")) {
    operand.absolute = true;
    s.remove_prefix(1);
    if (const size_t bar = s.find('|'); bar != std::string_view::npos) s = s.substr(0, bar);
  }
  if (s.empty()) return operand;
  const bool digit = std::isdigit(static_cast<unsigned char>(s[0]));
  if (const int r = register_number(s); r >= 0) {
    operand.kind = Operand::kRegister;
    operand.index = r;
  } else if (const int p = predicate_number(s); p >= 0) {
    operand.kind = Operand::kPredicate;
    operand.index = p;
  } else if (starts(s, "c[")) {
    operand.kind = Operand::kConstant;
    operand.bank = int(integer(bracketed(s, 0)));
    read_address(bracketed(s, 1), operand);
  } else if (starts(s, "[") || starts(s, "desc[")) {
    operand.kind = Operand::kMemory;
    read_address(bracketed(s, starts(s, "desc") ? 1 : 0), operand);
  } else if (starts(s, "`(")) {
    operand.kind = Operand::kLabel;
    operand.text = s.substr(2, s.rfind(')') - 2);
  } else if (starts(s, "SR")) {
    operand.kind = Operand::kSpecial;
    operand.text = s;
  } else if ((digit && s.find('@') == std::string_view::npos) || starts(s, "INF") ||
             starts(s, "QNAN")) {
    read_number(s, operand);
  }
  return operand;
}

// Commas outside of brackets separate operands.
std::vector<Operand> read_operands(std::string_view s) {
  std::vector<Operand> all;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i <= s.size(); ++i) {
    const char c = i < s.size() ? s[i] : ',';
    depth += (c == '[' || c == '(') - (c == ']' || c == ')');
    if (c != ',' || (depth > 0 && i < s.size())) continue;
    if (!trimmed(s.substr(begin, i - begin)).empty())
      all.push_back(read_operand(s.substr(begin, i - begin)));
    begin = i + 1;
  }
  return all;
}

// "/*0130*/  @!P0 MOV R1, R2 ;"; false for a line that is none.
bool read_instruction(std::string_view line, Instruction& to) {
  line = trimmed(line);
  if (!starts(line, "/*")) return false;
  const size_t close = line.find("*/"), semicolon = line.rfind(';');
  if (close == std::string_view::npos || semicolon == std::string_view::npos || semicolon < close)
    return false;
  to.address = uint32_t(std::strtoul(std::string(line.substr(2, close - 2)).c_str(), nullptr, 16));
  std::string_view s = trimmed(line.substr(close + 2, semicolon - close - 2));
  to.when.kind = Operand::kPredicate;
  to.when.index = kTrue;
  if (starts(s, "@")) {
    const size_t space = std::min(s.find(' '), s.size());
    to.when = read_operand(s.substr(1, space - 1));
    if (to.when.kind != Operand::kPredicate) return false;
    s = trimmed(s.substr(space));
  }
  const size_t space = std::min(s.find(' '), s.size());
  const std::string_view opcode = s.substr(0, space);
  const size_t dot = std::min(opcode.find('.'), opcode.size());
  to.name = opcode.substr(0, dot);
  to.modifiers = dot == opcode.size() ? "." : std::string(opcode.substr(dot)) + ".";
  to.operands = read_operands(s.substr(space));
  return !to.name.empty();
}

}  // namespace

bool Instruction::has(std::string_view modifier) const {
  // modifiers begins and ends with a dot.
  for (size_t at = 0; (at = modifiers.find(modifier, at)) != std::string::npos; ++at)
    if (modifiers[at - 1] == '.' && modifiers[at + modifier.size()] == '.') return true;
  return false;
}

std::map<std::string, Kernel> read_machine_code(std::string_view text) {
  constexpr std::string_view kSection = ".text.";
  std::map<std::string, Kernel> kernels;
  std::map<std::string, int, std::less<>> labels;
  Kernel* kernel = nullptr;
  auto resolve = [&] {
    if (kernel)
      for (Instruction& i : kernel->code)
        for (const Operand& o : i.operands)
          if (const auto at = labels.find(o.text); o.kind == Operand::kLabel && at != labels.end())
            i.target = at->second;
    labels.clear();
  };
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
    Instruction instruction;
    if (starts(line, ".section")) {
      resolve();
      kernel = nullptr;
    } else if (starts(line, kSection) && line.back() == ':') {
      resolve();
      kernel =
          &kernels[std::string(line.substr(kSection.size(), line.size() - kSection.size() - 1))];
    } else if (kernel && !line.empty() && line.back() == ':') {
      labels[std::string(line.substr(0, line.size() - 1))] = int(kernel->code.size());
    } else if (kernel && read_instruction(line, instruction)) {
      kernel->code.push_back(std::move(instruction));
    }
  }
  resolve();
  return kernels;
}

std::string short_name(std::string_view s) {
  // Up to the parenthesis, outside of <>, where the parameters begin; "(anonymous namespace)" is
  // none of these.
  constexpr std::string_view kAnonymous = "(anonymous namespace)";
  std::string name;
  int depth = 0;
  for (size_t i = 0; i < s.size(); ++i) {
    if (starts(s.substr(i), kAnonymous)) {
      name += kAnonymous;
      i += kAnonymous.size() - 1;
      continue;
    }
    depth += (s[i] == '<') - (s[i] == '>');
    if (depth == 0 && s[i] == '(') break;
    if (depth == 0 && s[i] == ' ')  // "void kernel": what it returns
      name.clear();
    else
      name += s[i];
  }
  return name;
}

}  // namespace rmt::gpu_model
