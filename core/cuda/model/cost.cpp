#include "core/cuda/model/cost.h"

#include <algorithm>
#include <array>

namespace rmt::gpu_model {
namespace {

using emulator::Note;
using emulator::Range;

Extent extent(dim3 d) { return {d.x, d.y, d.z}; }
uint64_t volume(Extent e) { return uint64_t(e.x) * e.y * e.z; }
Extent index_in(Extent e, uint64_t i) {
  return {uint32_t(i % e.x), uint32_t(i / e.x % e.y), uint32_t(i / e.x / e.y)};
}

// What the walked threads did to one range of memory.
struct Touched {
  bool read = false, written = false;
  uint64_t first = ~uint64_t(0), behind = 0;
};

struct Walks {
  double instructions_of_a_warp = 0;
  bool tensor_cores = false;
  int64_t guesses = 0;
  std::string unknown;
  std::vector<Touched> touched;  // one for each range of the note
};

void add(const Walk& w, const Note& note, Walks& all) {
  all.tensor_cores |= w.tensor_core > 0;
  all.guesses += w.guesses;
  if (all.unknown.empty()) all.unknown = w.unknown;
  for (const Access& a : w.accesses)
    for (size_t r = 0; r < note.memory.size(); ++r) {
      if (a.address < note.memory[r].begin || a.address >= note.memory[r].end) continue;
      Touched& t = all.touched[r];
      (a.write ? t.written : t.read) = true;
      t.first = std::min(t.first, a.address);
      t.behind = std::max(t.behind, a.address + a.bytes);
    }
}

// Some blocks and of each some warps, evenly over the launch. A warp executes what any of its lanes
// does, so of three lanes the longest walk counts. The first and the last thread of the launch are
// walked for the memory that they reach.
Walks walk_some(const Note& note, const Kernel& kernel) {
  constexpr uint64_t kBlocks = 5, kWarps = 8;
  constexpr std::array<uint64_t, 3> kLanes = {0, 13, 31};
  const Extent grid = extent(note.grid), block = extent(note.block);
  const uint64_t blocks = volume(grid), threads = volume(block), warps = (threads + 31) / 32;
  Walks all;
  all.touched.resize(note.memory.size());
  auto walk_one = [&](uint64_t b, uint64_t thread) {
    const Walk w =
        walk(kernel, {grid, block, index_in(grid, b), index_in(block, thread)}, note.arguments);
    add(w, note, all);
    return w.instructions;
  };
  double sum = 0, count = 0;
  const uint64_t some_blocks = std::min(blocks, kBlocks), some_warps = std::min(warps, kWarps);
  for (uint64_t i = 0; i < some_blocks; ++i)
    for (uint64_t j = 0; j < some_warps; ++j) {
      const uint64_t warp = (2 * j + 1) * warps / (2 * some_warps);
      int64_t most = 0;
      for (uint64_t lane : kLanes)
        if (32 * warp + lane < threads)
          most =
              std::max(most, walk_one((2 * i + 1) * blocks / (2 * some_blocks), 32 * warp + lane));
      sum += double(most);
      ++count;
    }
  all.instructions_of_a_warp = sum / count;
  walk_one(0, 0);
  walk_one(blocks - 1, threads - 1);
  return all;
}

double bytes_of(const Range& r) { return double(r.end - r.begin); }

void set_time(Cost& c, double bytes_per_second, double issue, double flops, double tail) {
  struct Limit {
    double seconds;
    const char* name;
  };
  const Limit limits[] = {{c.bytes / bytes_per_second, "bytes"},
                          {c.instructions / 32 / issue, "issue"},
                          {flops, "flops"},
                          {c.launches * tail, "launch"}};
  double longest = 0;
  for (const Limit& l : limits) {
    if (l.seconds > longest) c.binds = l.name;
    longest = std::max(longest, l.seconds);
  }
  c.seconds =
      std::max({limits[0].seconds, limits[1].seconds, limits[2].seconds}) + limits[3].seconds;
}

Cost cost_of_product(const Note& note, const H200& gpu) {
  const emulator::Product& p = note.product;
  const double n = double(p.batch), a = n * double(p.in) * double(p.M * p.K),
               b = n * double(p.in) * double(p.K * p.N), c = n * double(p.out) * double(p.M * p.N);
  Cost cost;
  cost.bytes = a + b + c + (p.accumulate ? c : 0);
  cost.elements = double(p.M * p.N);
  const double flops = 2. * n * double(p.M) * double(p.N) * double(p.K);
  const bool narrow = double(p.sums_rows ? std::min(p.M, p.N) : std::max(p.N, p.K)) <= gpu.narrow;
  double bandwidth = p.sums_rows ? (narrow ? gpu.narrow_sums : gpu.sums)
                                 : (narrow ? gpu.narrow_product : gpu.product);
  if (std::max({a, b, c}) <= gpu.product_cached_bytes)
    bandwidth = std::max(bandwidth, gpu.product_in_cache);
  set_time(cost, bandwidth, gpu.issue, flops / (gpu.flops * (p.sums_rows ? gpu.flops_sums : 1)),
           gpu.tail);
  return cost;
}

}  // namespace

Cost cost_of(const Note& note, const Kernel* kernel, int bytes_per_number, const H200& gpu) {
  if (note.product.M > 0) return cost_of_product(note, gpu);
  Cost cost;
  Walks walks;
  if (kernel) walks = walk_some(note, *kernel);
  double largest = 0, largest_written = 0;
  for (size_t r = 0; r < note.memory.size(); ++r) {
    double n = bytes_of(note.memory[r]);
    int passes = 1;
    if (kernel && walks.touched[r].behind > 0) {
      const Touched& t = walks.touched[r];
      passes = t.read + t.written;
      n = std::min(n, double(t.behind - t.first));
      if (t.written) largest_written = std::max(largest_written, n);
    }
    cost.bytes += passes * n;
    largest = std::max(largest, n);
  }
  cost.elements = (largest_written * 4 < largest ? largest : largest_written) / bytes_per_number;
  if (kernel) {
    const uint64_t warps = (volume(extent(note.block)) + 31) / 32 * volume(extent(note.grid));
    cost.instructions = walks.instructions_of_a_warp * 32 * double(warps);
    cost.guesses = walks.guesses;
    cost.unknown = walks.unknown;
  }
  const bool cached = largest < gpu.cached_bytes;
  set_time(cost, gpu.bandwidth * (cached ? gpu.cached_gain : 1),
           gpu.issue * (walks.tensor_cores ? gpu.issued_tensor_core : gpu.issued), 0, gpu.tail);
  return cost;
}

}  // namespace rmt::gpu_model
