// The weights that a model is tested with: its own, and where a run keeps one their average
// (average.h). One pass over the images serves both, since to read and decode them takes longer
// than for the weights to change places:
//
//   images    | 0 .. 15 | 16 .. 31 | 32 .. 47 |
//   own         1         4          5             numbers: the order in which they are looked at;
//   average     2    3         6                   a change of places between 1 and 2, 3 and 4, ...
//
// Each sees the same batches in the same order as if it had a pass for itself.
#pragma once
#include <functional>

#include "data/batches.h"
#include "train/optimizer.h"

namespace rmt::train {

class TestedWeights {
 public:
  TestedWeights() = default;  // the model's own alone
  // And, where the optimizer keeps it, their average.
  explicit TestedWeights(Optimizer& optimizer);
  ~TestedWeights() { use(0); }
  TestedWeights(const TestedWeights&) = delete;
  TestedWeights& operator=(const TestedWeights&) = delete;

  size_t count() const { return average_ ? 2 : 1; }  // 0: the model's own, 1: the average

  // f(k, batch) for every batch that the loader holds and each k < count(), while the model has the
  // weights k. Its false ends it, and then for_each() is false. Afterwards, and after an exception,
  // the model has its own weights.
  bool for_each(data::Batches& loader,
                const std::function<bool(size_t k, const data::Batch& batch)>& f);

 private:
  void use(size_t k);
  bool pass(data::Batches& loader, const std::function<bool(size_t, const data::Batch&)>& f);

  Optimizer* average_ = nullptr;  // who keeps it
  size_t in_place_ = 0;
};

}  // namespace rmt::train
