// Pinned host memory: its pages stay where they are, so that the GPU copies from them by itself,
// while the host does something else and other work of the GPU goes on (upload.h). To pin a page
// takes long, so what is given back is kept.
#pragma once
#include <cstddef>

namespace rmt::cuda {

// While one lives, the host memory of Storages that the calling thread makes is pinned, as far as
// the system lets so much be pinned; where it does not, and without a GPU, it is ordinary memory.
class PinnedMemory {
 public:
  explicit PinnedMemory(bool on = true);
  ~PinnedMemory();
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

 private:
  bool before_;
};

bool is_pinned(const void* p);

// For core/storage.cpp. take: null where the calling thread asked for none, or there is none. give:
// false, and nothing done, where p did not come from take().
void* take_pinned(size_t bytes);
bool give_pinned(void* p, size_t bytes);

}  // namespace rmt::cuda
