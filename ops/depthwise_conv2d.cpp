// y_p  = bias + sum_t w_t x_(p + t - r) + residual_p    t over the k x k taps, r = k / 2, x zero
//                                                      outside the map; each channel by itself
// dx_p = sum_t w_t dy_(p + r - t)                      the same with the taps reversed
// dw_t = sum_p dy_p x_(p + t - r)
// dbias = sum_p dy_p,   dresidual = dy
#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "core/rows.h"
#include "ops/depthwise_conv2d.h"
#include "ops/kernels/depthwise_calls.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/extents.h"
#include "ops/kernels/multiply_adds.h"

namespace rmt {
namespace cpu {
namespace {

using simd::Vec;

// The unit of work is a block: kPixels neighbouring pixels of a row, times kVectors vectors of
// channels. It takes K taps of a row of the filter at a time: K = k for the sizes in use, which
// keeps sums and taps in registers, and 1 for others. With K taps the block's pixels reach
// kPixels + K - 1 inputs of a row of x, and input i meets tap t at pixel p = i - t:
//
//     inputs of x    0  1  2  3  4  5  6  7  8  9        K = 3: input 4 meets tap 0 at pixel 4,
//     pixels of y       0  1  2  3  4  5  6  7                  tap 1 at pixel 3, tap 2 at pixel 2
//
//     convolution:      y_p  += x_i w_t
//     weight gradient:  dw_t += x_i dy_p
//
// Blocks at the ends of a row have edge = true and skip inputs that lie outside.
constexpr int kPixels = 8, kVectors = simd::kBytes == 64 ? 2 : 1;

// NV vectors of neighbouring channels; `count` of each are in memory, the others 0.
template <class T, int NV>
struct Channels {
  static constexpr int V = simd::lanes<T>;
  Vec<T> v[NV];

  template <class Count>
  [[gnu::always_inline]] static Channels load(const T* p, Count count) {
    Channels x;
    for (int i = 0; i < NV; ++i) x.v[i] = simd::load(p + i * V, count);
    return x;
  }
  template <class Count>
  [[gnu::always_inline]] void store(T* p, Count count) const {
    for (int i = 0; i < NV; ++i) simd::store<T>(p + i * V, v[i], count);
  }
  [[gnu::always_inline]] void operator+=(const Channels& x) {
    for (int i = 0; i < NV; ++i) v[i] += x.v[i];
  }
  [[gnu::always_inline]] void add_product(const Channels& x, const Channels& y) {
    for (int i = 0; i < NV; ++i) v[i] += x.v[i] * y.v[i];
  }
};

// f(x_i, p, t) for each input i inside the row, each tap t and the pixel p where they meet. load(i)
// gives x_i; input 0 is column `first` of the row.
template <int K, bool edge, class Load, class F>
[[gnu::always_inline]] inline void for_meetings(int64_t first, int64_t W, const Load& load,
                                                const F& f) {
#pragma GCC unroll 16
  for (int i = 0; i < kPixels + K - 1; ++i) {
    if (edge && (first + i < 0 || first + i >= W)) continue;
    const auto x_i = load(i);
#pragma GCC unroll 8
    for (int t = 0; t < K; ++t)
      if (const int p = i - t; p >= 0 && p < kPixels) f(x_i, p, t);
  }
}

// f(first, from, tap) for each K taps of the filter that lie in the map's rows, for the block at
// column `column` of row `row` (counted through the batch): `first` is the column of input 0,
// `from` its place in x, `tap` the place of tap 0 in the filter (k k, C); both of channel c.
template <int K, class F>
[[gnu::always_inline]] inline void for_taps(const Map& m, int64_t row, int64_t column, int64_t c,
                                            const F& f) {
  const int64_t h = row % m.H;
  const int64_t begin = std::max<int64_t>(0, m.r - h), end = std::min(m.k, m.H + m.r - h);
  for (int64_t ty = begin; ty < end; ++ty)
    for (int64_t tx = 0; tx < m.k; tx += K) {
      const int64_t first = column + tx - m.r;
      f(first, m.at(row + ty - m.r, first) + c, (ty * m.k + tx) * m.C + c);
    }
}

// y = bias + sum_t w_t x_(p + t - r) + residual
template <class T>
struct Convolve {
  Map m;
  const T *x, *w, *bias, *residual;  // w (k k, C), bias (C) or null, residual like x or null
  T* y;

  template <int K, bool edge, int NV, class Count>
  [[gnu::always_inline]] void block(int64_t row, int64_t column, int64_t c, Count count) const {
    using Channels = cpu::Channels<T, NV>;
    const Channels start = bias ? Channels::load(bias + c, count) : Channels{};
    Channels sum[kPixels];
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) sum[p] = start;
    for_taps<K>(m, row, column, c, [&](int64_t first, int64_t from, int64_t tap) {
      Channels w_t[K];
#pragma GCC unroll 8
      for (int t = 0; t < K; ++t) w_t[t] = Channels::load(w + tap + t * m.C, count);
      for_meetings<K, edge>(
          first, m.W, [&](int i) { return Channels::load(x + (from + i * m.C), count); },
          [&](const Channels& x_i, int p, int t) { sum[p].add_product(x_i, w_t[t]); });
    });
    const int64_t at = m.at(row, column) + c;
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) {
      if (edge && column + p >= m.W) break;
      if (residual) sum[p] += Channels::load(residual + at + p * m.C, count);
      sum[p].store(y + at + p * m.C, count);
    }
  }
};

// dw_t += sum_p dy_p x_(p + t - r),  dbias += sum_p dy_p
template <class T>
struct WeightGradient {
  Map m;
  const T *x, *dy;
  T *dw, *dbias;  // (k k, C) and (C)

  template <int K, bool edge, int NV, class Count>
  [[gnu::always_inline]] void block(int64_t row, int64_t column, int64_t c, Count count) const {
    using Channels = cpu::Channels<T, NV>;
    const int64_t at = m.at(row, column) + c;
    Channels dy_p[kPixels], sum = Channels::load(dbias + c, count);
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) {
      const bool outside = edge && column + p >= m.W;
      dy_p[p] = outside ? Channels{} : Channels::load(dy + at + p * m.C, count);
      sum += dy_p[p];
    }
    sum.store(dbias + c, count);
    for_taps<K>(m, row, column, c, [&](int64_t first, int64_t from, int64_t tap) {
      Channels dw_t[K];
#pragma GCC unroll 8
      for (int t = 0; t < K; ++t) dw_t[t] = Channels::load(dw + tap + t * m.C, count);
      for_meetings<K, edge>(
          first, m.W, [&](int i) { return Channels::load(x + (from + i * m.C), count); },
          [&](const Channels& x_i, int p, int t) { dw_t[t].add_product(x_i, dy_p[p]); });
#pragma GCC unroll 8
      for (int t = 0; t < K; ++t) dw_t[t].store(dw + tap + t * m.C, count);
    });
  }
};

// All channels of the kPixels pixels from `column` on.
template <class T, int K, bool edge, class Kernel>
void for_channels(const Kernel& kernel, int64_t row, int64_t column) {
  constexpr int V = simd::lanes<T>;
  const int64_t C = kernel.m.C;
  int64_t c = 0;
  for (; c + kVectors * V <= C; c += kVectors * V)
    kernel.template block<K, edge, kVectors>(row, column, c, std::integral_constant<int, V>());
  simd::for_columns<T>(
      C, [&](int64_t at, auto count) { kernel.template block<K, edge, 1>(row, column, at, count); },
      c);
}

// All blocks of the rows [begin, end).
template <class T, int K, class Kernel>
void for_blocks(const Kernel& kernel, int64_t begin, int64_t end) {
  const Map& m = kernel.m;
  for (int64_t row = begin; row < end; ++row)
    for (int64_t column = 0; column < m.W; column += kPixels) {
      const bool edge = column < m.r || column + kPixels + m.r > m.W;
      if (edge)
        for_channels<T, K, true>(kernel, row, column);
      else
        for_channels<T, K, false>(kernel, row, column);
    }
}

template <class T, class Kernel>
void run_rows(const Kernel& kernel, int64_t begin, int64_t end) {
  switch (kernel.m.k) {
    case 3: return for_blocks<T, 3>(kernel, begin, end);
    case 5: return for_blocks<T, 5>(kernel, begin, end);
    default: return for_blocks<T, 1>(kernel, begin, end);
  }
}

// y = bias + conv(x, w) + residual, w (C, k k), its taps in reverse order when `reversed`.
template <class T>
void depthwise_convolve(const T* x, const T* w, const T* bias, const T* residual, T* y,
                        const Map& m, bool reversed) {
  const int64_t taps = m.k * m.k;
  std::vector<T> packed(taps * m.C);  // (k k, C): neighbouring channels lie side by side
  for (int64_t c = 0; c < m.C; ++c)
    for (int64_t t = 0; t < taps; ++t)
      packed[t * m.C + c] = w[c * taps + (reversed ? taps - 1 - t : t)];
  const Convolve<T> kernel{m, x, packed.data(), bias, residual, y};
  simd::for_rows(m.B * m.H, m.W * m.C,
                 [&](int64_t begin, int64_t end) { run_rows<T>(kernel, begin, end); });
}

// dw (C, k k), dbias (C) or null. Each part of the rows has sums of its own, dw (k k, C) and behind
// it dbias; they are added in order.
template <class T>
void depthwise_weight_gradient(const T* x, const T* dy, T* dw, T* dbias, const Map& m) {
  const int64_t taps = m.k * m.k, n = (taps + 1) * m.C, rows = m.B * m.H;
  const int64_t parts = part_count(rows * m.W * m.C, 1 << 15);
  std::vector<T> sums(parts * n);
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      T* own = sums.data() + p * n;
      run_rows<T>(WeightGradient<T>{m, x, dy, own, own + taps * m.C}, part_begin(rows, parts, p),
                  part_begin(rows, parts, p + 1));
    }
  });
  for (int64_t p = 1; p < parts; ++p)
    for (int64_t i = 0; i < n; ++i) sums[i] += sums[p * n + i];
  for (int64_t c = 0; c < m.C; ++c)
    for (int64_t t = 0; t < taps; ++t) dw[c * taps + t] = sums[t * m.C + c];
  if (dbias) std::copy_n(sums.data() + taps * m.C, m.C, dbias);
}

// dx (or null), dw and dbias (or both null) as in depthwise_calls.h
template <class T>
void depthwise_backward(const T* x, const T* dy, const T* w, T* dx, T* dw, T* dbias, const Map& m,
                        bool residual_is_x) {
  if (dx) depthwise_convolve<T>(dy, w, nullptr, residual_is_x ? dy : nullptr, dx, m, true);
  if (dw) depthwise_weight_gradient(x, dy, dw, dbias, m);
}

}  // namespace
}  // namespace cpu

Tensor ops::depthwise_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias,
                             const Tensor& residual) {
  const char* op = "depthwise_conv2d";
  CHECK(x.defined() && x.rank() == 4 && x.dim(3) > 0, op, ": x is ", x.shape(),
        ", expected (B, H, W, C) with C > 0");
  const int64_t C = x.dim(3), k = w.defined() && w.rank() == 4 ? w.dim(2) : 1;
  expect(op, "w", w, {C, 1, k, k}, wide(x.dtype()));
  CHECK(k % 2 == 1, op, ": w is ", w.shape(), "; the filter's size ", k,
        " must be odd, to have a middle");
  if (bias.defined()) expect(op, "bias", bias, {C}, wide(x.dtype()));
  if (residual.defined()) expect(op, "residual", residual, x.shape(), x.dtype());

  const Map m{x.dim(0), x.dim(1), x.dim(2), C, k, k / 2};
  // When the residual is x itself, dx takes up its gradient in its own pass.
  const bool identity = residual.defined() && residual.same_as(x);
  Tensor y = Tensor::empty_like(x);
  const bool is_gpu = x.device() == Device::cuda;
  if (is_gpu)
    DISPATCH_GPU(x, depthwise_convolve, x, C, w, bias, residual, y, C, m, false);
  else
    DISPATCH_CPU(x, depthwise_convolve, x, w, bias, residual, y, m, false);
  count_multiply_adds(x.numel() * k * k);
  std::vector<Tensor> inputs{x, w, bias};
  if (residual.defined() && !identity) inputs.push_back(residual);
  return record(op, y, inputs,
                [x = x.detach(), w = w.detach(), m, identity, is_gpu, need_x = needs_grad(x),
                 need_w = needs_grad({w, bias}), has_bias = bias.defined(),
                 n = inputs.size()](const Tensor& dy) -> Grads {
                  Grads grads(n);
                  Tensor &dx = grads[0], &dw = grads[1], &dbias = grads[2];
                  if (need_x) dx = Tensor::empty_like(x);
                  if (need_w) dw = Tensor::empty_like(w);
                  if (need_w && has_bias) dbias = Tensor::empty({m.C}, w.dtype(), w.device());
                  if (is_gpu)
                    DISPATCH_GPU(x, depthwise_backward, x, m.C, dy, w, dx, m.C, dw, dbias, m,
                                 identity);
                  else
                    DISPATCH_CPU(x, depthwise_backward, x, dy, w, dx, dw, dbias, m, identity);
                  if (n == 4) grads[3] = dy;
                  return grads;
                });
}

}  // namespace rmt
