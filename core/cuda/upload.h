// Numbers of the host on their way to the GPU while it computes. They land beside the place where
// they are needed, which the step before still reads, and are moved there when it is over:
//
//   copies    | host -> landing  n+1 |wait          | host -> landing  n+2 |
//                                    \              /
//                                     landed     read           events, which the streams wait for
//                                        \        /
//   compute   ... step n ............... | landing -> place  n+1 | step n+1 .......................
//
// The second copy is one within the GPU's memory: 38 MB, a batch of 256 images, in some 20 us,
// where they take about a millisecond to come from the host.
#pragma once
#include <memory>
#include <vector>

#include "core/tensor.h"

namespace rmt::cuda {

class Upload {
 public:
  Upload();
  ~Upload();
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  // Writes from[i], on the host, into to[i], on the GPU, of the same size in bytes. Returns at
  // once; what is launched from now on finds the numbers there, what was launched before is not
  // disturbed. Pinned tensors (pinned.h) are read later, and must stay as they are, until the call
  // after the next has returned; they are held that long. Others are copied to pinned memory first.
  void send(const std::vector<Tensor>& from, const std::vector<Tensor>& to);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rmt::cuda
