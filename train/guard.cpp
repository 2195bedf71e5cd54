#include "train/guard.h"

#include "core/parallel.h"

namespace rmt::train {
namespace {

constexpr int64_t kPiece = 1 << 14;  // numbers that a thread takes at once
constexpr int64_t kLanes = 16;       // sums side by side, for the vector unit

// sum_i x_i^2 for i in [begin, end), in double.
template <class T>
double square_sum(const T* x, int64_t begin, int64_t end) {
  double lane[kLanes] = {};
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes)
    for (int64_t j = 0; j < kLanes; ++j) lane[j] += double(x[i + j]) * double(x[i + j]);
  for (; i < end; ++i) lane[0] += double(x[i]) * double(x[i]);
  double sum = 0;
  for (double value : lane) sum += value;
  return sum;
}

// sum_i x_i^2 over n numbers, in an order that depends on n alone.
template <class T>
double square_sum(const T* x, int64_t n) {
  std::vector<double> pieces((n + kPiece - 1) / kPiece);
  parallel_for(n, kPiece, [&](int64_t begin, int64_t end) {
    pieces[begin / kPiece] = square_sum(x, begin, end);
  });
  double sum = 0;
  for (double piece : pieces) sum += piece;
  return sum;
}

double square_sum(const Tensor& x) {
  return x.dtype() == DType::f64 ? square_sum(x.data<double>(), x.numel())
                                 : square_sum(x.data<float>(), x.numel());
}

}  // namespace

Judgement judge(const std::vector<Tensor>& gradients, const Tensor& loss,
                const GuardOptions& options) {
  Verdict verdict;
  if (loss.defined())
    verdict.loss = float(loss.to(DType::f64).item<double>() / double(options.parts));
  double squares = 0;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) continue;
    const double of_this = square_sum(gradients[i]);
    if (!std::isfinite(of_this) && verdict.bad_parameter < 0) verdict.bad_parameter = int32_t(i);
    squares += of_this;
  }
  const double norm = std::sqrt(squares) / double(options.parts);
  verdict.norm = float(norm);
  return {verdict, gradient_scale(options, norm)};
}

Statistics::Statistics(const std::vector<nn::Entry>& state) {
  for (const nn::Entry& e : state)
    if (!e.parameter && is_float(e.tensor->dtype()))
      entries_.push_back({e.name, e.tensor, e.tensor->clone()});
}

void Statistics::share(Processes& processes) const {
  for (const Entry& e : entries_) processes.broadcast(*e.buffer);
}

void Statistics::keep() {
  for (const Entry& e : entries_) e.kept.copy_from(*e.buffer);
}

void Statistics::take_back() {
  for (const Entry& e : entries_) e.buffer->copy_from(e.kept);
}

}  // namespace rmt::train
