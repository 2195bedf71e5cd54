#include "train/optimizer.h"

#include <cmath>

#include "core/parallel.h"

namespace rmt {
namespace {

// The formula's scalars, worked out in double once a step, used in the parameter's own type.
template <class T>
struct Factors {
  T decay;         // 1 - lr wd
  T take1;         // 1 - b1
  T keep2, take2;  // b2, 1 - b2
  T step;          // lr / (1 - b1^t)
  T correction2;   // sqrt(1 - b2^t)
  T eps;
};

// One pass over p, m, v and g; the compiler vectorises the loop.
template <class T>
void update(T* __restrict p, T* __restrict m, T* __restrict v, const T* __restrict g, int64_t n, const Factors<T>& f) {
  parallel_for(n, 1 << 14, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      m[i] += f.take1 * (g[i] - m[i]);
      v[i] = f.keep2 * v[i] + f.take2 * (g[i] * g[i]);
      p[i] = p[i] * f.decay - f.step * (m[i] / (std::sqrt(v[i]) / f.correction2 + f.eps));
    }
  });
}

template <class T>
void update(AdamW::Slot& s, const Tensor& g, const AdamWOptions& o, double lr) {
  double t = double(s.t);
  Factors<T> f{.decay = T(1 - lr * s.weight_decay),
               .take1 = T(1 - o.beta1),
               .keep2 = T(o.beta2),
               .take2 = T(1 - o.beta2),
               .step = T(lr / (1 - std::pow(o.beta1, t))),
               .correction2 = T(std::sqrt(1 - std::pow(o.beta2, t))),
               .eps = T(o.eps)};
  update(s.parameter->data<T>(), s.exp_avg.data<T>(), s.exp_avg_sq.data<T>(), g.data<T>(), g.numel(), f);
}

}  // namespace

bool decays(const std::string& name, const Shape& shape) { return shape.rank() > 1 && !name.ends_with(".bias"); }

AdamW::AdamW(const std::vector<nn::Entry>& parameters, const AdamWOptions& options) : options_(options) {
  for (const nn::Entry& e : parameters) {
    const Tensor& p = *e.tensor;
    slots_.push_back({e.name, e.tensor, decays(e.name, p.shape()) ? options.weight_decay : 0, Tensor::zeros_like(p), Tensor::zeros_like(p)});
  }
}

void AdamW::step(double lr) {
  for (Slot& s : slots_) {
    Tensor g = grad(*s.parameter);
    if (!g.defined()) continue;
    ++s.t;
    if (g.dtype() == DType::f64)
      update<double>(s, g, options_, lr);
    else
      update<float>(s, g, options_, lr);
  }
}

}  // namespace rmt
