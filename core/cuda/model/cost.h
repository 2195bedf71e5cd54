// How long would a launch take on an H200? The greatest of what it moves over the bandwidth, what
// it executes over the rate of issue and, for a product, its multiply-adds over the rate of the
// tensor cores; and the time between launches. All assumptions stand here.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/cuda/emulator/notes.h"
#include "core/cuda/model/thread.h"

namespace rmt::gpu_model {

struct H200 {
  double bandwidth = 3.6e12;        // B/s; a copy of large tensors reached 4.3e12
  double cached_gain = 1.25;        // where tensors stay in L2 between kernels,
  double cached_bytes = 20e6;       // that is, below so many bytes
  double issue = 132 * 4 * 1.75e9;  // instructions of a warp a second, if none ever waited
  double issued = 0.65;             // the part of these that is reached,
  double issued_tensor_core = 0.6;  // and with tensor cores in the loop
  double tail = 2e-6;               // s a launch: the gap before it, its start and its last blocks
  double flops = 5e14;              // 1/s of products in bf16,
  double flops_sums = 0.85;         // of these in products that sum over rows (dW)
  double narrow = 64;               // channels up to which a matrix is narrow
  double product = 3.1e12, narrow_product = 2.8e12;  // B/s that products reach
  double sums = 2.5e12, narrow_sums = 2.0e12;        // and those that sum over rows
  double product_in_cache = 3.5e12;                  // and small ones, whose operands lie in L2,
  double product_cached_bytes = 35e6;                // that is, each below so many bytes
};

struct Cost {
  double bytes = 0;
  double elements = 0;      // numbers of the largest tensor that is written, or read if all of
                            // these are less than a quarter of it; 0 for a product
  double instructions = 0;  // of all threads; 0: unknown, or a library's
  double seconds = 0;
  const char* binds = "launch";  // "bytes", "issue", "flops", or "launch": the time between them
  bool by_hand = false;          // the bytes are from by_hand.h
  int64_t guesses = 0;           // branches that depended on numbers in memory
  std::string unknown;           // what the walks through the code did not know
};

// `kernel`: the note's machine code, or null: then each tensor is thought to be read or written
// whole. `parameters` of the model, for what stands in by_hand.h.
Cost cost_of(const emulator::Note& note, const Kernel* kernel, int bytes_per_number,
             int64_t parameters, const H200& gpu = {});

}  // namespace rmt::gpu_model
