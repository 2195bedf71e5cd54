#include "train/optimizer.h"

#include <cstring>
#include <utility>

#include "core/cuda/device.h"
#include "core/parallel.h"

namespace rmt::train {
namespace gpu {  // optimizer.cu
void adamw(const AdamWTable& table, const AdamWOptions& options, const float* loss);
}  // namespace gpu

namespace {

constexpr int64_t kPiece = 1 << 14;  // numbers that a thread takes at once

// sum x_i^2 in double, in an order that depends on n alone.
template <class T>
double square_sum(const T* x, int64_t n) {
  std::vector<double> sums(static_cast<size_t>((n + kPiece - 1) / kPiece));
  parallel_for(int64_t(sums.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      double lane[16] = {};  // side by side, for the vector unit
      const int64_t first = piece * kPiece, last = std::min(first + kPiece, n);
      int64_t i = first;
      for (; i + 16 <= last; i += 16)
        for (int64_t j = 0; j < 16; ++j) lane[j] += double(x[i + j]) * double(x[i + j]);
      for (; i < last; ++i) lane[0] += double(x[i]) * double(x[i]);
      for (double value : lane) sums[size_t(piece)] += value;
    }
  });
  double sum = 0;
  for (double value : sums) sum += value;
  return sum;
}

double square_sum(const Tensor& x) {
  return x.dtype() == DType::f64 ? square_sum(x.data<double>(), x.numel())
                                 : square_sum(x.data<float>(), x.numel());
}

template <class T>
void average(const T* p, T* ema, T take, int64_t n) {
  for (int64_t i = 0; i < n; ++i) ema[i] += take * (p[i] - ema[i]);
}

// One pass over p, m, v and g; the compiler vectorises the loop.
template <class T>
void update(const AdamWArrays<T>& a, const AdamWFactors& f) {
  const T gradient = T(f.gradient), decay = T(f.decay), take1 = T(f.take1), keep2 = T(f.keep2),
          take2 = T(f.take2), step = T(f.step), correction2 = T(f.correction2), eps = T(f.eps);
  parallel_for(a.n, kPiece, [&](int64_t begin, int64_t end) {
    T* __restrict p = a.p, * __restrict m = a.m, * __restrict v = a.v;
    const T* __restrict g = a.g;
    for (int64_t i = begin; i < end; ++i) {
      const T gi = gradient * g[i];
      m[i] += take1 * (gi - m[i]);
      v[i] = keep2 * v[i] + take2 * (gi * gi);
      p[i] = p[i] * decay - step * (m[i] / (std::sqrt(v[i]) / correction2 + eps));
    }
    if (a.ema) average(p + begin, a.ema + begin, T(f.take_ema), end - begin);
  });
}

template <class T>
T* at(const Tensor& x) {
  return static_cast<T*>(x.raw());
}
template <class T>
AdamWArrays<T> arrays(const AdamW::Slot& s, const Tensor& g) {
  return {at<T>(*s.parameter), at<T>(s.exp_avg),
          at<T>(s.exp_avg_sq), at<T>(g),
          at<T>(s.ema),        at<bf16>(s.parameter->node->shadow),
          s.parameter->numel()};
}
template <class T>
AdamWArrays<T> arrays(const AdamW::Statistic& s) {
  return {at<T>(*s.buffer), at<T>(s.kept), nullptr,          nullptr,
          at<T>(s.ema),     nullptr,       s.buffer->numel()};
}

// x and y change places, contents and not handles: recorded graphs know them by their memory.
void swap_numbers(const Tensor& x, const Tensor& y) {
  const Tensor before = x.clone();
  x.copy_from(y);
  y.copy_from(before);
}

}  // namespace

// Host copies of what the kernels read, and theirs in the GPU's memory.
struct AdamW::Table {
  std::vector<AdamWArrays<float>>
      arrays;  // of slots (n = 0 without a gradient), then of statistics
  Storage arrays_there, chunks_there, lr, lr_scale, weight_decay, t, factors, squares;
  size_t slots, chunk_count;
  bool changed = true;

  Table(const std::vector<Slot>& all, const std::vector<Statistic>& statistics,
        const std::vector<gpu::AdamWChunk>& chunks)
      : arrays(all.size() + statistics.size()),
        arrays_there(arrays.size() * sizeof(AdamWArrays<float>), Device::cuda),
        chunks_there(chunks.size() * sizeof(gpu::AdamWChunk), Device::cuda),
        lr(sizeof(double), Device::cuda),
        lr_scale(all.size() * sizeof(double), Device::cuda),
        weight_decay(all.size() * sizeof(double), Device::cuda),
        t(all.size() * sizeof(int64_t), Device::cuda),
        factors(all.size() * sizeof(AdamWFactors), Device::cuda),
        squares(chunks.size() * sizeof(double), Device::cuda),
        slots(all.size()),
        chunk_count(chunks.size()) {
    std::vector<double> scales, decays;
    for (const Slot& s : all) scales.push_back(s.lr_scale), decays.push_back(s.weight_decay);
    send(lr_scale, scales.data()), send(weight_decay, decays.data()),
        send(chunks_there, chunks.data());
  }
  static void send(const Storage& to, const void* from) {
    cuda::copy(to.data(), Device::cuda, from, Device::cpu, to.bytes());
  }
};

AdamW::AdamW(const std::vector<nn::Entry>& parameters, const AdamWOptions& options,
             const std::vector<ParameterRule>& rules, const std::vector<nn::Entry>& statistics)
    : options_(options) {
  CHECK(rules.empty() || rules.size() == parameters.size(), "AdamW: ", rules.size(), " rules for ",
        parameters.size(), " parameters");
  std::vector<gpu::AdamWChunk> chunks;
  auto cut = [&](size_t array, int64_t n) {
    for (int32_t i = 0; i * gpu::kAdamWChunk < n; ++i) chunks.push_back({int32_t(array), i});
  };
  auto average_of = [&](const Tensor& x) { return options.ema_decay > 0 ? x.clone() : Tensor(); };
  for (size_t i = 0; i < parameters.size(); ++i) {
    const nn::Entry& e = parameters[i];
    const Tensor& p = *e.tensor;
    CHECK(p.device() == parameters[0].tensor->device(), "AdamW: ", e.name, " is on ", p.device(),
          ", others are not");
    const ParameterRule rule =
        rules.empty()
            ? ParameterRule{.weight_decay = decays(e.name, p.shape()) ? options.weight_decay : 0}
            : rules[i];
    if (rule.frozen) continue;
    cut(slots_.size(), p.numel());
    slots_.push_back({e.name, e.tensor, rule.weight_decay, rule.lr_scale, Tensor::zeros_like(p),
                      Tensor::zeros_like(p), average_of(p)});
  }
  for (const nn::Entry& e : statistics) {
    if (e.parameter || !is_float(e.tensor->dtype())) continue;
    cut(slots_.size() + statistics_.size(), e.tensor->numel());
    statistics_.push_back({e.name, e.tensor, e.tensor->clone(), average_of(*e.tensor)});
  }
  const Device device = slots_.empty() ? Device::cpu : slots_[0].parameter->device();
  verdict_ = Tensor::zeros({3}, DType::f32, device);
  if (device == Device::cpu) return;
  for (const Slot& s : slots_)
    CHECK(s.parameter->dtype() == DType::f32, "AdamW: ", s.name, " is ", s.parameter->dtype(),
          "; on a GPU parameters are f32");
  table_ = std::make_unique<Table>(slots_, statistics_, chunks);
  set_counts();
}

AdamW::~AdamW() = default;

void AdamW::step(double lr, const Tensor& loss) {
  if (table_) {
    collect();
    advance(lr);
    launch(loss);
    return;
  }
  Verdict verdict{.loss = loss.defined()
                              ? float(loss.to(DType::f64).item<double>() / double(options_.parts))
                              : 0};
  double squares = 0;
  for (size_t i = 0; i < slots_.size(); ++i)
    if (const Tensor g = grad(*slots_[i].parameter); g.defined()) {
      const double sum = square_sum(g);
      if (!std::isfinite(sum) && verdict.bad < 0) verdict.bad = float(i);
      squares += sum;
    }
  const double norm = std::sqrt(squares) / double(options_.parts);
  verdict.norm = float(norm);
  std::memcpy(verdict_.raw(), &verdict, sizeof verdict);

  for (Slot& s : slots_) {
    const Tensor g = grad(*s.parameter);
    if (!verdict.finite() || !g.defined()) continue;
    const AdamWFactors f = adamw_factors(options_, norm, lr * s.lr_scale, s.weight_decay, ++s.t);
    g.dtype() == DType::f64 ? update(arrays<double>(s, g), f) : update(arrays<float>(s, g), f);
    if (const Tensor& shadow = s.parameter->node->shadow; shadow.defined())
      shadow.copy_from(*s.parameter);
  }
  if (!verdict.finite()) restore_statistics();
  for (const Statistic& s : statistics_) {
    s.kept.copy_from(*s.buffer);
    if (!verdict.finite() || !s.ema.defined()) continue;
    const double take = 1 - options_.ema_decay;
    s.ema.dtype() == DType::f64
        ? average(at<double>(*s.buffer), at<double>(s.ema), take, s.ema.numel())
        : average(at<float>(*s.buffer), at<float>(s.ema), float(take), s.ema.numel());
  }
}

void AdamW::collect() {
  auto put = [&](size_t i, const AdamWArrays<float>& a) {
    table_->changed |= std::memcmp(&a, &table_->arrays[i], sizeof a) != 0;
    table_->arrays[i] = a;
  };
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Tensor g = grad(*slots_[i].parameter);
    AdamWArrays<float> a = arrays<float>(slots_[i], g);
    if (!g.defined()) a.n = 0;
    put(i, a);
  }
  for (size_t i = 0; i < statistics_.size(); ++i)
    put(slots_.size() + i, arrays<float>(statistics_[i]));
}

void AdamW::advance(double lr) {
  Table::send(table_->lr, &lr);
  if (std::exchange(table_->changed, false))
    Table::send(table_->arrays_there, table_->arrays.data());
}

void AdamW::launch(const Tensor& loss) {
  CHECK(!loss.defined() ||
            (loss.numel() == 1 && loss.dtype() == DType::f32 && loss.device() == Device::cuda),
        "AdamW: loss is ", loss.dtype(), " ", loss.shape(), " on ", loss.device(),
        ", expected one f32 on the GPU");
  auto there = [](const Storage& s, auto type) { return static_cast<decltype(type)*>(s.data()); };
  const Table& t = *table_;
  gpu::adamw({.arrays = there(t.arrays_there, AdamWArrays<float>{}),
              .chunks = there(t.chunks_there, gpu::AdamWChunk{}),
              .lr = there(t.lr, 0.),
              .lr_scale = there(t.lr_scale, 0.),
              .weight_decay = there(t.weight_decay, 0.),
              .t = there(t.t, int64_t()),
              .factors = there(t.factors, AdamWFactors{}),
              .squares = there(t.squares, 0.),
              .verdict = static_cast<Verdict*>(verdict_.raw()),
              .slots = int64_t(t.slots),
              .chunk_count = int64_t(t.chunk_count)},
             options_, static_cast<const float*>(loss.raw()));
}

std::vector<AdamW::Slot>& AdamW::slots() {
  if (table_) {
    std::vector<int64_t> t(slots_.size());
    cuda::copy(t.data(), Device::cpu, table_->t.data(), Device::cuda, table_->t.bytes());
    for (size_t i = 0; i < t.size(); ++i) slots_[i].t = t[i];
  }
  return slots_;
}

void AdamW::set_counts() {
  if (!table_) return;
  std::vector<int64_t> t;
  for (const Slot& s : slots_) t.push_back(s.t);
  Table::send(table_->t, t.data());
}

void AdamW::restore_statistics() {
  for (const Statistic& s : statistics_) s.buffer->copy_from(s.kept);
}

void AdamW::restart_averages() {
  for (const Slot& s : slots_)
    if (s.ema.defined()) s.ema.copy_from(*s.parameter);
  for (const Statistic& s : statistics_) {
    s.kept.copy_from(*s.buffer);
    if (s.ema.defined()) s.ema.copy_from(*s.buffer);
  }
}

void AdamW::swap_averages() {
  CHECK(options_.ema_decay > 0, "AdamW: there are no averages to swap");
  for (const Slot& s : slots_) {
    swap_numbers(*s.parameter, s.ema);
    if (const Tensor& shadow = s.parameter->node->shadow; shadow.defined())
      shadow.copy_from(s.parameter->to(shadow.dtype()));
  }
  for (const Statistic& s : statistics_) swap_numbers(*s.buffer, s.ema);
}

}  // namespace rmt::train
