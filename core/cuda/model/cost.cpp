#include "core/cuda/model/cost.h"

#include <algorithm>

#include "core/cuda/model/by_hand.h"
#include "core/cuda/model/walks.h"

namespace rmt::gpu_model {
namespace {

using emulator::Note;

// The longest of the three binds, and the time between launches comes on top.
void set_time(Cost& c, double bytes, double issue, double flops, double between) {
  struct Limit {
    double seconds;
    const char* name;
  };
  c.seconds = 0;
  for (const Limit& l : {Limit{bytes, "bytes"}, {issue, "issue"}, {flops, "flops"}})
    if (l.seconds > c.seconds) {
      c.seconds = l.seconds;
      c.binds = l.name;
    }
  if (between >= c.seconds) c.binds = "launch";
  c.seconds += between;
}

Cost cost_of_product(const Note& note, const H200& gpu) {
  const emulator::Product& p = note.product;
  const double n = double(p.batch), a = n * double(p.in) * double(p.M * p.K),
               b = n * double(p.in) * double(p.K * p.N), c = n * double(p.out) * double(p.M * p.N);
  Cost cost;
  cost.bytes = a + b + c + (p.accumulate ? c : 0);
  const double flops = 2. * n * double(p.M) * double(p.N) * double(p.K);
  const bool narrow = double(p.sums_rows ? std::min(p.M, p.N) : std::max(p.N, p.K)) <= gpu.narrow;
  double bandwidth = p.sums_rows ? (narrow ? gpu.narrow_sums : gpu.sums)
                                 : (narrow ? gpu.narrow_product : gpu.product);
  if (std::max({a, b, c}) <= gpu.product_cached_bytes)
    bandwidth = std::max(bandwidth, gpu.product_in_cache);
  const double rate = gpu.flops * (p.sums_rows ? gpu.flops_sums : 1);
  set_time(cost, cost.bytes / bandwidth, 0, flops / rate, gpu.tail);
  return cost;
}

}  // namespace

Cost cost_of(const Note& note, const Kernel* kernel, int bytes_per_number, int64_t parameters,
             const H200& gpu) {
  if (note.product.M > 0) return cost_of_product(note, gpu);
  Cost cost;
  Walks walks;
  if (kernel) walks = walk_some(note, *kernel);
  double largest = 0, most_read = 0, most_written = 0;
  for (size_t r = 0; r < note.memory.size(); ++r) {
    const double whole = double(note.memory[r].end - note.memory[r].begin);
    const Walks::Bytes b = kernel ? walks.bytes[r] : Walks::Bytes{whole, 0};
    cost.bytes += b.read + b.written;
    largest = std::max(largest, std::max(b.read, b.written));
    most_read = std::max(most_read, b.read);
    most_written = std::max(most_written, b.written);
  }
  cost.elements = (4 * most_written < most_read ? most_read : most_written) / bytes_per_number;
  for (const ByParameter& p : kByParameter)
    if (p.launch == note.name) {
      largest = cost.bytes = p.bytes * double(parameters);
      cost.elements = double(parameters);
      cost.by_hand = true;
    }
  cost.instructions = walks.instructions;
  cost.guesses = walks.guesses;
  cost.unknown = walks.unknown;
  const double bandwidth = gpu.bandwidth * (largest < gpu.cached_bytes ? gpu.cached_gain : 1);
  const double issue = gpu.issue * (walks.tensor_cores ? gpu.issued_tensor_core : gpu.issued);
  set_time(cost, cost.bytes / bandwidth, cost.instructions / 32 / issue, 0, gpu.tail);
  return cost;
}

}  // namespace rmt::gpu_model
