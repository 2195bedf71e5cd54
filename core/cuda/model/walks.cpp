#include "core/cuda/model/walks.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/error.h"

namespace rmt::gpu_model {
namespace {

using emulator::Note;

Extent extent(dim3 d) { return {d.x, d.y, d.z}; }
uint64_t volume(Extent e) { return uint64_t(e.x) * e.y * e.z; }
Extent index_in(Extent e, uint64_t i) {
  return {uint32_t(i % e.x), uint32_t(i / e.x % e.y), uint32_t(i / e.x / e.y)};
}

// Number i of n that lie evenly in [0, of).
uint64_t evenly(uint64_t i, uint64_t n, uint64_t of) { return (2 * i + 1) * of / (2 * n); }

// What the walked threads did to one range of memory.
struct Touched {
  double read = 0, written = 0;  // bytes that they asked for
  uint64_t first = ~uint64_t(0), behind = 0;
};

class Launch {
 public:
  Launch(const Note& note, const Kernel& kernel)
      : note_(note),
        kernel_(kernel),
        grid_(extent(note.grid)),
        block_(extent(note.block)),
        blocks_(volume(grid_)),
        threads_(volume(block_)),
        touched_(note.memory.size()) {}

  Walks walk_some() {
    const uint64_t warps = (threads_ + 31) / 32;
    const uint64_t some_blocks = std::min(blocks_, kBlocks), some_warps = std::min(warps, kWarps);
    double longest = 0, walked = 0;
    for (uint64_t b = 0; b < some_blocks; ++b)
      for (uint64_t w = 0; w < some_warps; ++w) {
        const uint64_t first = 32 * evenly(w, some_warps, warps);
        int64_t most = 0;
        for (uint64_t lane : kLanes) {
          if (first + lane >= threads_) continue;
          most = std::max(most, walk_one(evenly(b, some_blocks, blocks_), first + lane, true));
          ++walked;
        }
        longest += double(most);
      }
    // For the memory that they reach.
    walk_one(0, 0, false);
    walk_one(blocks_ - 1, threads_ - 1, false);
    all_.instructions = longest / double(some_blocks * some_warps) * double(warps * blocks_) * 32;
    add_bytes(double(blocks_ * threads_) / walked);
    return std::move(all_);
  }

 private:
  static constexpr uint64_t kBlocks = 5, kWarps = 8;
  static constexpr std::array<uint64_t, 3> kLanes = {0, 13, 31};

  int64_t walk_one(uint64_t block, uint64_t thread, bool counts) {
    const Walk w = walk(kernel_, {grid_, block_, index_in(grid_, block), index_in(block_, thread)},
                        note_.arguments);
    all_.tensor_cores |= w.tensor_core > 0;
    all_.guesses += w.guesses;
    if (all_.unknown.empty()) all_.unknown = w.unknown;
    for (const Access& a : w.accesses) touch(a, counts);
    return w.instructions;
  }

  void touch(const Access& a, bool counts) {
    for (size_t r = 0; r < touched_.size(); ++r) {
      if (a.address < note_.memory[r].begin || a.address >= note_.memory[r].end) continue;
      Touched& t = touched_[r];
      (a.write ? t.written : t.read) += counts ? a.bytes : 0;
      t.first = std::min(t.first, a.address);
      t.behind = std::max(t.behind, a.address + a.bytes);
    }
  }

  // `times`: of so many threads was one walked.
  void add_bytes(double times) {
    for (const Touched& t : touched_) {
      const double once = t.behind > t.first ? double(t.behind - t.first) : 0;
      all_.bytes.push_back({std::min(once, times * t.read), std::min(once, times * t.written)});
    }
  }

  const Note& note_;
  const Kernel& kernel_;
  const Extent grid_, block_;
  const uint64_t blocks_, threads_;
  std::vector<Touched> touched_;
  Walks all_;
};

}  // namespace

Walks walk_some(const Note& note, const Kernel& kernel) { return Launch(note, kernel).walk_some(); }

std::string work_of(const Note& note) {
  const auto [M, N, K, batch, accumulate, sums_rows, in, out] = note.product;
  std::string key = str(note.name, " ", note.kernel, " ", note.shared, " ", M, " ", N, " ", K, " ",
                        batch, " ", accumulate, sums_rows, " ", in, " ", out);
  for (dim3 d : {note.grid, note.block}) key += str(" ", d.x, " ", d.y, " ", d.z);
  for (const emulator::Range& r : note.memory) key += str(" ", r.end - r.begin);
  // A pointer counts as the range that it points into and how far.
  std::vector<unsigned char> arguments = note.arguments;
  for (size_t at = 0; at + 8 <= arguments.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, arguments.data() + at, 8);
    for (size_t r = 0; r < note.memory.size(); ++r)
      if (word >= note.memory[r].begin && word < note.memory[r].end) {
        word = (uint64_t(r) << 48) + (word - note.memory[r].begin);
        std::memcpy(arguments.data() + at, &word, 8);
        break;
      }
  }
  return key.append(arguments.begin(), arguments.end());
}

}  // namespace rmt::gpu_model
