// Walks one thread of a launch through its kernel's machine code: which instructions does it
// execute, and which addresses does it read and write?
//
// Integers, addresses and predicates are computed as the GPU computes them, from the launch's
// arguments and the thread's place in the grid: they decide how often a loop runs. What is read
// from memory is not known: it counts as numbers near 1 (kGuess), and a branch that depends on it
// is counted as a guess. Kernels here have few such branches, most of them inside a division, which
// checks for numbers that are too large.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/cuda/model/machine_code.h"

namespace rmt::gpu_model {

struct Extent {
  uint32_t x = 1, y = 1, z = 1;
};

struct Place {
  Extent grid, block;        // extents of the launch
  Extent in_grid, in_block;  // of the thread's block, of the thread
};

// An access to device memory.
struct Access {
  uint64_t address;
  uint32_t bytes;
  bool write;
};

struct Walk {
  int64_t instructions = 0;
  int64_t tensor_core = 0;  // of these, products by tensor cores
  int64_t guesses = 0;      // branches that depended on numbers in memory
  std::vector<Access> accesses;
  std::string unknown;  // an opcode that the walk does not know, or why it ended early; "" for none
};

// `arguments` as CUDA lays them out (emulator::Note).
Walk walk(const Kernel& kernel, const Place& place, const std::vector<unsigned char>& arguments);

// --- inside the walk: what its instructions work on (arithmetic.cpp) ---

// A register's value, and whether it depends on what was read from memory.
struct Word {
  uint32_t bits = 0;
  bool guess = false;
};
struct Word64 {
  uint64_t bits = 0;
  bool guess = false;
};
struct Bit {
  bool on = false, guess = false;
};

// 1.0 in bf16 twice, and 1.002 in f32.
inline constexpr uint32_t kGuess = 0x3f803f80;

struct Thread {
  Place place;
  const std::vector<unsigned char>& arguments;
  Word registers[kRegisters];
  Bit predicates[kPredicates];
  std::map<uint64_t, Word> near;  // what it has written into shared or local memory
  Walk result;

  // Operands of an instruction as numbers; a predicate as 0 or 1. `minus` is obeyed, as is ~.
  Word word(const Operand& o) const;
  Word64 pair(const Operand& o) const;
  Bit bit(const Operand& o) const;
  uint64_t address(const Operand& o) const;
  Word constant(int bank, int64_t offset) const;
  void set(int index, Word value);
  void set_pair(int index, Word64 value);
  void set(int predicate, Bit value);
};

// Executes what computes; false when it does not know the opcode. Branches and accesses to memory
// are the walk's.
bool compute(Thread& thread, const Instruction& i);

}  // namespace rmt::gpu_model
