#include "train/gradient_sums.h"

namespace rmt::train {
namespace {

// Gradients begin at multiples of 64 bytes, as other tensors do: kernels load 16 bytes at once.
int64_t padded(int64_t numbers, DType dtype) {
  const int64_t unit = 64 / int64_t(size_of(dtype));
  return (numbers + unit - 1) / unit * unit;
}

}  // namespace

GradientSums::GradientSums(const std::vector<Tensor*>& parameters, Processes& processes,
                           int64_t bucket_bytes)
    : processes_(processes) {
  if (processes.size() == 1) return;
  std::vector<int64_t> begin;  // of each place in its bucket
  int64_t numbers = 0;
  auto close = [&] {
    if (numbers == 0) return;
    Bucket& b = buckets_.back();
    const Tensor& p = *places_[b.begin].parameter;
    b.end = places_.size();
    b.missing = b.end - b.begin;
    b.all = Tensor::zeros({numbers}, p.dtype(), p.device());
    for (size_t i = b.begin; i < b.end; ++i) {
      const Tensor& of = *places_[i].parameter;
      places_[i].sum = b.all.slice(begin[i], begin[i] + of.numel()).view(of.shape());
    }
    numbers = 0;
  };
  for (auto it = parameters.rbegin(); it != parameters.rend(); ++it) {
    const Tensor& p = **it;
    if (numbers == 0) buckets_.push_back({.begin = places_.size()});
    place_of_[p.node.get()] = places_.size();
    places_.push_back({.parameter = *it, .bucket = buckets_.size() - 1});
    begin.push_back(numbers);
    numbers += padded(p.numel(), p.dtype());
    if (numbers * int64_t(size_of(p.dtype())) >= bucket_bytes) close();
  }
  close();
}

void GradientSums::complete(const Node& leaf) {
  const auto it = place_of_.find(&leaf);
  if (it == place_of_.end()) return;  // one process alone, or no parameter of the model
  fill(places_[it->second]);
  send_full_ones();
}

void GradientSums::fill(Place& place) {
  CHECK(!place.filled, "gradients: one was complete, and more came");
  place.filled = true;
  --buckets_[place.bucket].missing;
  const Tensor g = grad(*place.parameter);
  if (!g.defined()) return place.sum.fill(0);
  place.sum.copy_from(g);
  set_grad(*place.parameter, place.sum);  // lets go of g
}

void GradientSums::send_full_ones() {
  for (; sent_ < buckets_.size() && buckets_[sent_].missing == 0; ++sent_)
    processes_.start_all_reduce(buckets_[sent_].all);
}

void GradientSums::finish() {
  for (Place& place : places_)
    if (!place.filled) fill(place);
  send_full_ones();
  processes_.wait();
  for (Place& place : places_) place.filled = false;
  for (Bucket& b : buckets_) b.missing = b.end - b.begin;
  sent_ = 0;
}

}  // namespace rmt::train
