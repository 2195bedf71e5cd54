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
                           int64_t bucket_bytes, int64_t parts)
    : processes_(processes), parameters_(parameters) {
  if (processes.size() > 1) make_buckets(parameters, bucket_bytes);
  if (parts == 1 || parameters.empty() || parameters[0]->device() == Device::cpu) return;
  if (processes.size() == 1) {
    for (Tensor* p : parameters) part_sums_.push_back(Tensor::zeros_like(*p));
  } else {
    parameters_.clear();
    for (const Place& place : places_) {
      parameters_.push_back(place.parameter);
      part_sums_.push_back(place.sum);
    }
  }
  parts_ = std::make_unique<PartSums>(parameters_, part_sums_, parts);
}

void GradientSums::make_buckets(const std::vector<Tensor*>& parameters, int64_t bucket_bytes) {
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

void GradientSums::begin() {
  for (Place& place : places_) place.filled = false;
  for (Bucket& b : buckets_) b.missing = b.end - b.begin;
  sent_ = 0;
  parts_done_ = 0;
}

void GradientSums::part_done() {
  if (parts_) parts_->add(parts_done_++);
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
  const bool begun = parts_done_ > 0 && parts_->has(size_t(&place - places_.data()));
  if (!g.defined() && !begun) return place.sum.fill(0);
  if (!begun)
    place.sum.copy_from(g);
  else if (g.defined())
    place.sum.add_from(g);
  set_grad(*place.parameter, place.sum);  // lets go of g
}

void GradientSums::send_full_ones() {
  for (; sent_ < buckets_.size() && buckets_[sent_].missing == 0; ++sent_)
    processes_.start_all_reduce(buckets_[sent_].all);
}

void GradientSums::finish() {
  if (parts_done_ > 0 && places_.empty()) {
    part_done();
    for (size_t i = 0; i < part_sums_.size(); ++i)
      if (parts_->has(i)) set_grad(*parameters_[i], part_sums_[i]);
  }
  for (Place& place : places_)
    if (!place.filled) fill(place);
  send_full_ones();
  processes_.wait();
  begin();
}

void GradientSums::send_tables() {
  if (parts_) parts_->send_tables();
}

}  // namespace rmt::train
