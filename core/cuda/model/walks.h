// What a whole launch does, from walks of some of its threads: evenly chosen blocks, of each some
// warps. A warp executes what any of its lanes does, so of three lanes the longest walk counts.
#pragma once
#include <string>
#include <vector>

#include "core/cuda/emulator/notes.h"
#include "core/cuda/model/thread.h"

namespace rmt::gpu_model {

struct Walks {
  double instructions = 0;  // of all threads
  bool tensor_cores = false;
  int64_t guesses = 0;  // branches that depended on numbers in memory
  std::string unknown;  // the first thing that a walk did not know
  // Bytes that go to and come from the GPU's memory for each range of the note: what the threads
  // ask for, but at most once each byte between the first and the last that was seen. So a tensor
  // that is read for its neighbours, too, counts once, and of one whose channels lie among others
  // only its own.
  struct Bytes {
    double read = 0, written = 0;
  };
  std::vector<Bytes> bytes;
};
Walks walk_some(const emulator::Note& note, const Kernel& kernel);

// Equal for launches that do the same work at other places in memory.
std::string work_of(const emulator::Note& note);

}  // namespace rmt::gpu_model
