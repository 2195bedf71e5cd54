// The moving average of a model's weights, which often classifies better than the weights of any
// one step (Polyak and Juditsky, 1992; "EMA" in recipes). After every step that counts
//
//   e <- e + (1 - d) (p - e)              so  e = (1 - d) sum_k d^k (p of k steps ago)
//
// for each parameter p, and likewise for each statistic of the batch norms (guard.h). e is in the
// dtype of p and begins as p. An evaluation of the average swaps it into the model, and back.
#pragma once
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/tensor.h"

namespace rmt::train {

// The formula for one number; take = 1 - d. The CPU's loop and the CUDA kernels call it.
template <class T>
HD inline void follow(T& e, T p, T take) {
  e = e + take * (p - e);
}

class WeightAverage {
 public:
  struct Entry {
    std::string name;
    Tensor* followed;  // p: of a parameter or a statistic
    Tensor average;    // e
  };

  // decay: d; 0: there are no averages, and the functions below do nothing.
  explicit WeightAverage(double decay) : decay_(decay) {}
  void add(const std::string& name, Tensor* followed);
  bool on() const { return decay_ > 0; }
  double take() const { return 1 - decay_; }
  std::vector<Entry>& entries() { return entries_; }  // in the order of add(); none where not on
  // Of that entry; undefined where there is none.
  Tensor of(size_t index) const { return on() ? entries_[index].average : Tensor(); }

  void follow(size_t index);  // the formula for one entry, on the CPU
  void begin_again();         // e = p, after someone has written into the model
  // Model and averages change places, contents and not handles: recorded graphs know them by their
  // memory. A second call brings everything back. Error where there are no averages, and on a GPU,
  // where Optimizer::swap_average() does it.
  void swap();

 private:
  double decay_;
  std::vector<Entry> entries_;
};

}  // namespace rmt::train
