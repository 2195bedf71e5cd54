// Where device memory comes from: segments of cudaMalloc, divided by a Heap and kept when tensors
// let go of them. All work is on one stream, so a block that the host has released may be handed
// out again at once: whoever gets it writes after the last reader. A graph (graph.h) has a pool of
// its own. On the emulated device every tensor outside of graphs gets a block of its own from
// cudaMalloc, so that accesses beside it are seen.
#pragma once
#include <cstddef>
#include <memory>

namespace rmt::cuda {

class Pool {
 public:
  Pool();
  ~Pool();  // blocks in use stay valid; the last one takes the pool's segments with it
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void* take(size_t bytes);                 // OutOfMemory
  static void give(void* p, size_t bytes);  // to the pool that it came from
  static void trim();  // hands segments of the common pool that nobody uses back to the device; a
                       // graph writes into its own, in use or not
  static Pool& current();        // the pool that allocations come from
  static Pool* use(Pool* pool);  // makes it current (null: the common one); returns the one before

 private:
  struct Segments;
  friend struct Pools;
  std::shared_ptr<Segments> segments_;
};

}  // namespace rmt::cuda
