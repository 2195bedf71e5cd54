// The gradients of a step's parts (--grad-accum-steps), added up on a GPU by one launch a part,
// over a table of all parameters.
//
//   part 0    sum = g            g: the gradients that this part's backward pass has left
//   part 1    sum = sum + g      beside the parameters
//   ...
//
// Number by number these are the additions, in the order, that backward() makes when the gradients
// are left where they are (autograd/backward.h): the sums have the same bits.
#pragma once
#include <memory>
#include <vector>

#include "core/tensor.h"
#include "train/chunks.h"

namespace rmt::train {
namespace gpu {

// Of one parameter, in one part: n numbers each.
struct Addition {
  float* sum;
  const float* gradient;  // null: it has none in this part
  int64_t n;
  bool first;  // nothing was added before: sum is overwritten
};

}  // namespace gpu

class PartSums {
 public:
  // The parameters, f32 on the GPU, must stay where they are; sums[i] is of the shape of
  // parameters[i].
  PartSums(const std::vector<Tensor*>& parameters, const std::vector<Tensor>& sums, int64_t parts);

  // Adds the gradients of part `part` to the sums and takes them from the parameters. Parts come in
  // order, from 0 in each step.
  void add(int64_t part);
  // Has any part of the step had a gradient of this parameter? Else its sum means nothing.
  bool has(size_t parameter) const { return has_[parameter]; }
  // Tables can't be sent while a graph is recorded: after the recording, and before its first
  // repetition.
  void send_tables();

 private:
  const gpu::Addition* table_on_gpu(size_t part) const;

  std::vector<Tensor*> parameters_;
  std::vector<Tensor> sums_;
  std::vector<bool> has_;
  std::vector<std::vector<gpu::Addition>> tables_;  // of each part
  std::vector<bool> changed_;                       // since it was sent
  int64_t chunk_count_;
  std::unique_ptr<Storage> tables_there_, chunks_there_;
};

}  // namespace rmt::train
