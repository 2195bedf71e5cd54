// The gradients of all processes, added up while backward still computes. Parameters stand in
// buckets of some MB, the last ones of the model first, as backward finishes them; a bucket goes on
// its way as soon as it is full.
//
//   backward   | head, stage 4 | stage 3 ........ | stage 2 | stage 1 | stem |
//   bucket 0                   |-- all_reduce --|
//   bucket 1                                      |-- all_reduce --|
//   finish()                                                                 |-| what is left
#pragma once
#include <unordered_map>
#include <vector>

#include "autograd/backward.h"
#include "core/processes/processes.h"

namespace rmt::train {

constexpr int64_t kBucketBytes = int64_t(4) << 20;

class GradientSums {
 public:
  // The parameters, leaves of one dtype on one device, in the model's order; the same in every
  // process. They must stay where they are.
  GradientSums(const std::vector<Tensor*>& parameters, Processes& processes,
               int64_t bucket_bytes = kBucketBytes);

  // For backward(): the gradient of this leaf is complete in this process.
  void complete(const Node& leaf);
  // Call it after backward. From then on grad(p) of every parameter is the sum over all processes,
  // in the order of ranks; where p has no gradient here it stays without. Sums what complete() was
  // not told of (leaves inside a checkpoint()), and waits.
  void finish();

 private:
  struct Place {
    Tensor* parameter;
    Tensor sum;  // of the parameter's shape, in the bucket's memory
    size_t bucket;
    bool filled = false;
  };
  struct Bucket {
    Tensor all;                              // (numbers)
    size_t begin = 0, end = 0, missing = 0;  // places
  };
  void fill(Place& place);
  void send_full_ones();

  Processes& processes_;
  std::vector<Place> places_;
  std::vector<Bucket> buckets_;
  std::unordered_map<const Node*, size_t> place_of_;
  size_t sent_ = 0;  // buckets, in their order: all processes make the same calls
};

}  // namespace rmt::train
