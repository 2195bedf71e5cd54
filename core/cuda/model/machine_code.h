// The machine code of kernels, as nvdisasm -c prints it from a cubin: a section for each kernel,
// labels, and lines such as
//
//     /*0130*/              @!P0 ISETP.GE.U32.AND P1, PT, R16, UR6, PT ;
//      address (hex)    predicate opcode.modifiers   operands
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace rmt::gpu_model {

// Registers by number: R0 ... R254, RZ (always 0), then the warp's UR0 ... UR62, URZ.
inline constexpr int kZero = 255, kUniform = 256, kUniformZero = kUniform + 63;
inline constexpr int kRegisters = kUniform + 64;
// Predicates: P0 ... P6, PT (always true), then UP0 ... UP6, UPT.
inline constexpr int kTrue = 7, kUniformTrue = 15, kPredicates = 16;

struct Operand {
  enum Kind { kOther, kRegister, kPredicate, kNumber, kConstant, kMemory, kLabel, kSpecial };
  Kind kind = kOther;
  bool minus = false, inverted = false, absolute = false;  // -R0, ~R0 or !P0, |R0|
  int index = -1;                                          // of a register or a predicate
  uint32_t number = 0;                                     // an integer, or the bits of an f32
  double decimal = 0;                                      // of a decimal number
  // c[bank][base + offset], or memory at [base + uniform + offset]; -1: no such register
  int bank = 0, base = -1, uniform = -1;
  bool wide = false;  // the base is a pair of registers, 64 bits
  int64_t offset = 0;
  std::string text;  // of a label, or of a special register
};

struct Instruction {
  uint32_t address = 0;   // in its kernel, bytes
  Operand when;           // it is executed where this predicate holds
  std::string name;       // "ISETP"
  std::string modifiers;  // ".GE.U32.AND."
  std::vector<Operand> operands;
  int target = -1;  // of a branch or a call: an index of Kernel::code
  bool has(std::string_view modifier) const;
};

struct Kernel {
  std::vector<Instruction> code;
};

// The kernels of one file by their mangled names. What is no kernel's text is skipped.
std::map<std::string, Kernel> read_machine_code(std::string_view text);

// "rmt::gpu::map_kernel<float, 4>" of a demangled function: without what it returns and takes,
// which compilers mangle each in its own way.
std::string short_name(std::string_view demangled);

}  // namespace rmt::gpu_model
