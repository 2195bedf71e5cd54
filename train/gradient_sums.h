// The gradients of a step: of its parts (--grad-accum-steps), and of all processes.
//
// Those of the parts are added one part after the other. On the CPU backward() does so by itself,
// which adds to what stands beside a parameter; on a GPU that would be a launch for each parameter,
// and one goes over all of them (part_sums.h).
//
// Those of the processes are added up while backward still computes the last part. Parameters stand
// in buckets of some MB, the last ones of the model first, as backward finishes them; a bucket goes
// on its way as soon as it is full.
//
//   backward   | head, stage 4 | stage 3 ........ | stage 2 | stage 1 | stem |
//   bucket 0                   |-- all_reduce --|
//   bucket 1                                      |-- all_reduce --|
//   finish()                                                                 |-| what is left
#pragma once
#include <memory>
#include <unordered_map>
#include <vector>

#include "autograd/backward.h"
#include "core/processes/processes.h"
#include "train/part_sums.h"

namespace rmt::train {

constexpr int64_t kBucketBytes = int64_t(4) << 20;

class GradientSums {
 public:
  // The parameters, leaves of one dtype on one device, in the model's order; the same in every
  // process. They must stay where they are. `parts`: of this process, in a step.
  GradientSums(const std::vector<Tensor*>& parameters, Processes& processes,
               int64_t bucket_bytes = kBucketBytes, int64_t parts = 1);

  // Before the first part's backward, with no gradient beside the parameters. Whatever an exception
  // has left of the step before is forgotten.
  void begin();
  // After the backward of a part that is not the last.
  void part_done();
  // For the last backward(): the gradient of this leaf is complete in this process.
  void complete(const Node& leaf);
  // After the last part's backward. From then on grad(p) of every parameter is the sum over all
  // parts and processes, in the order of ranks; where p has no gradient here it stays without. Sums
  // what complete() was not told of (leaves inside a checkpoint()), and waits.
  void finish();
  // After a recording of all this, before its first repetition.
  void send_tables();

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
  void make_buckets(const std::vector<Tensor*>& parameters, int64_t bucket_bytes);
  void fill(Place& place);
  void send_full_ones();

  Processes& processes_;
  std::vector<Tensor*> parameters_;
  std::vector<Place> places_;
  std::vector<Bucket> buckets_;
  std::unordered_map<const Node*, size_t> place_of_;
  size_t sent_ = 0;                  // buckets, in their order: all processes make the same calls
  std::unique_ptr<PartSums> parts_;  // on a GPU, of more than one part; the places' order, if any
  std::vector<Tensor> part_sums_;    // its sums
  int64_t parts_done_ = 0;
};

}  // namespace rmt::train
