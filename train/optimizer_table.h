// The optimizer's state as its kernels see it: every parameter and statistic of the model in tables
// in the memory of a GPU, so that a step is a handful of launches and not one for each of hundreds
// of parameters. Parameters are cut into chunks (chunks.h); a block of threads takes one chunk.
#pragma once
#include <vector>

#include "core/storage.h"
#include "train/chunks.h"
#include "train/optimizer.h"

namespace rmt::train {
namespace gpu {

// Of one parameter: n numbers each.
struct ParameterArrays {
  float* p;
  float* m;
  float* v;               // null for SGD
  const float* gradient;  // null: it has none in this step
  float* average;         // or null
  bf16* shadow;           // p in bf16 (autograd/tape.h, in_dtype), or null
  int64_t n;
};

// Of one statistic: n numbers each.
struct StatisticArrays {
  float* now;
  float* kept;     // after the last step that counted
  float* average;  // or null
  int64_t n;
};

// What a kernel is given. All pointers are into the memory of the GPU.
struct OptimizerView {
  const ParameterArrays* parameters;  // (parameter_count), as are the next four
  const double* lr_scale;
  const double* weight_decay;
  int64_t* t;
  AdamWFactors<float>* factors;       // SGD works its own out on the spot
  const Chunk* chunks;                // (chunk_count)
  double* squares;                    // (chunk_count): of each chunk's gradients, added
  const StatisticArrays* statistics;  // (statistic_count)
  const double* lr;                   // ()
  double* gradient_scale;             // ()
  Verdict* verdict;                   // ()
  int64_t parameter_count;
  int64_t chunk_count;
  int64_t statistic_count;
};

}  // namespace gpu

class OptimizerTable {
 public:
  OptimizerTable(const std::vector<OptimizerSlot>& slots, const Statistics& statistics,
                 const WeightAverage& average);

  // Notes where the gradients and the bf16 copies are now.
  void find_gradients(const std::vector<OptimizerSlot>& slots);
  void send_arrays();                           // the table of arrays, where it has changed
  const Tensor& rate() const { return rate_; }  // () f64, which launch()'s kernels read
  void launch(const OptimizerOptions& options, const Tensor& loss);
  // Parameters and statistics change places with their averages, in two launches.
  void swap_averages(const std::vector<OptimizerSlot>& slots);

  void fetch_counts(std::vector<OptimizerSlot>& slots) const;  // t of each, from the GPU
  void send_counts(const std::vector<OptimizerSlot>& slots);
  Verdict verdict() const;  // of the last launch, after waiting for it
  const gpu::OptimizerView& view() const { return view_; }

 private:
  // n numbers of type T in the memory of the GPU, as long as the table lives.
  template <class T>
  T* place(size_t n);
  // The same with these numbers in it.
  template <class T>
  T* place(const std::vector<T>& numbers);

  std::vector<gpu::ParameterArrays> parameters_;  // as they are here; on the GPU: view_.parameters
  bool changed_ = true;                           // since they were sent there
  std::vector<std::unique_ptr<Storage>> storage_;
  Tensor rate_;
  gpu::OptimizerView view_;
};

}  // namespace rmt::train
