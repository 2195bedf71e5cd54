// Where device memory comes from: segments of cudaMalloc, divided by a BlockHeap and kept when
// tensors let go of them. All work is on one stream, so a block that the host has released may be
// handed out again at once: whoever gets it writes after the last reader. A graph (graph.h) has a
// pool of its own. While one is recorded nothing goes back to the device, since cudaFree waits for
// the device and a recording must not: it is held back until the recording ends. On the emulated
// device every tensor outside of graphs gets a block of its own from cudaMalloc, so that accesses
// beside it are seen.
#pragma once
#include <cstddef>
#include <memory>

namespace rmt::cuda {

class Pool {
 public:
  Pool();
  // Blocks in use stay valid; the last one takes the pool's segments with it.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Throws OutOfMemory; while a graph is recorded, without having looked for unused segments.
  void* take(size_t bytes);
  // Back to the pool that it came from, whichever that is.
  static void give(void* p, size_t bytes);
  // Hands segments of the common pool that nobody uses back to the device. Not those of a graph,
  // which writes into them, in use or not.
  static void trim();
  // Hands back what was held back while a graph was recorded.
  static void free_held_back();

  // The pool that allocations come from.
  static Pool& current();
  // Makes it current (null: the common one); returns the one before.
  static Pool* use(Pool* pool);

 private:
  struct Segments;
  friend struct Pools;
  std::shared_ptr<Segments> segments_;
};

}  // namespace rmt::cuda
