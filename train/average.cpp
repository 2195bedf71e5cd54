#include "train/average.h"

#include <algorithm>

#include "autograd/tape.h"
#include "core/parallel.h"

namespace rmt::train {
namespace {

constexpr int64_t kPiece = 1 << 14;  // numbers that a thread takes at once

template <class T>
void follow_all(const Tensor& average, const Tensor& followed, T take) {
  parallel_for(average.numel(), kPiece, [&](int64_t begin, int64_t end) {
    const T* __restrict p = followed.data<T>();
    T* __restrict e = average.data<T>();
    const T t = take;
    for (int64_t i = begin; i < end; ++i) follow(e[i], p[i], t);
  });
}

}  // namespace

void WeightAverage::add(const std::string& name, Tensor* followed) {
  if (on()) entries_.push_back({name, followed, followed->clone()});
}

void WeightAverage::follow(size_t index) {
  if (!on()) return;
  const Entry& entry = entries_[index];
  if (entry.average.dtype() == DType::f64)
    follow_all<double>(entry.average, *entry.followed, take());
  else
    follow_all<float>(entry.average, *entry.followed, float(take()));
}

void WeightAverage::begin_again() {
  for (const Entry& entry : entries_) entry.average.copy_from(*entry.followed);
}

void WeightAverage::swap() {
  CHECK(on(), "optimizer: there are no averages to swap");
  for (const Entry& entry : entries_) {
    const Tensor &p = *entry.followed, &e = entry.average;
    with_type(p.dtype(), [&](auto t) {
      using T = decltype(t);
      T *a = p.data<T>(), *b = e.data<T>();
      parallel_for(p.numel(), kPiece, [=](int64_t begin, int64_t end) {
        std::swap_ranges(a + begin, a + end, b + begin);
      });
    });
    refresh_shadow(p);
  }
}

}  // namespace rmt::train
