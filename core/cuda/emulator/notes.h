// What a program asked of the device, in order: kernels with their arguments, products, copies.
// With Settings::dry besides, none of it is done (README.md).
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "core/cuda/emulator/language.h"

namespace rmt::emulator {

// Matrix products by a library: C (M, N) = A (M, K) B (K, N), or C += A B, `batch` of them.
struct Product {
  int64_t M = 0, N = 0, K = 0, batch = 1;
  bool accumulate = false;
  bool sums_rows = false;  // A is stored as its transpose, as in the gradient of weights
  int in = 0, out = 0;     // bytes of a number of A and B, of C
};

// Device memory [begin, end).
struct Range {
  uint64_t begin, end;
};

struct Note {
  std::string name;
  const void* kernel = nullptr;  // the function; null for what is no kernel of ours
  dim3 grid, block;
  size_t shared = 0;                     // bytes of dynamic shared memory
  std::vector<unsigned char> arguments;  // as CUDA lays them out: each at its own alignment
  Product product;                       // of a product, else all 0
  // What it may read or write: for each pointer into a live block of device memory, from there to
  // the block's end. Ranges that overlap are one.
  std::vector<Range> memory;
};

// Where notes are added, from now on; null: nowhere. Returns where they went before.
std::vector<Note>* take_notes(std::vector<Note>* notes);
bool taking_notes();

// --- called by those who ask ---

struct Argument {
  const void* at;
  size_t bytes, alignment;
};
void note_launch(const char* name, const void* kernel, dim3 grid, dim3 block, size_t shared,
                 std::initializer_list<Argument> arguments);
// `memory`: pointers to the matrices, null where there is none.
void note_product(const Product& product, std::initializer_list<const void*> memory);
// `bytes` bytes at p, and as many at q unless it is null.
void note_copy(const char* name, const void* p, const void* q, size_t bytes);

}  // namespace rmt::emulator
