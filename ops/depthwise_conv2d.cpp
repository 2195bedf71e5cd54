// y_p = bias + sum_t w_t x_(p + t - r) + residual_p,  t over the k x k taps, r = k / 2, x zero
// outside the map; every channel by itself dx_p = sum_t w_t dy_(p + r - t): the same with the taps
// reversed;  dw_t = sum_p dy_p x_(p + t - r);  dbias = sum_p dy_p;  dresidual = dy
#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "core/rows.h"
#include "ops/depthwise_conv2d.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/extents.h"

namespace rmt {
namespace gpu {  // depthwise_conv2d.cu
template <class T>
void depthwise_convolve(const T* x, const Wide<T>* w, const Wide<T>* bias, const T* residual, T* y,
                        const Map& m, bool reversed);
template <class T>
void depthwise_weight_gradient(const T* x, const T* dy, Wide<T>* dw, Wide<T>* dbias, const Map& m);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec;

// The taps ty for which row y + ty - r lies in the map.
int64_t first_tap(const Map& m, int64_t y) { return std::max<int64_t>(0, m.r - y); }
int64_t end_taps(const Map& m, int64_t y) { return std::min(m.k, m.H + m.r - y); }

// The unit of work is a block of kPixels pixels of a row by NV vectors of channels, with K taps of
// a row of the filter at a time: K = k for the sizes in use, which keeps sums and taps in
// registers, and 1 for others. Blocks at the ends of a row have edge = true and test what lies
// outside.
constexpr int kPixels = 8, kVectors = simd::kBytes == 64 ? 2 : 1;

// For the inputs i = 0, 1, ... that K taps reach from the block's pixels: load(i), then f(p, t) for
// each pixel p and tap t with p + t = i. Input 0 is column `first` of the row.
template <int K, bool edge, class Load, class F>
[[gnu::always_inline]] inline void sweep(int64_t first, int64_t W, const Load& load, const F& f) {
#pragma GCC unroll 16
  for (int i = 0; i < kPixels + K - 1; ++i) {
    if (edge && (first + i < 0 || first + i >= W)) continue;
    load(i);
#pragma GCC unroll 8
    for (int t = 0; t < K; ++t)
      if (i - t >= 0 && i - t < kPixels) f(i - t, t);
  }
}

template <class T>
struct Convolve {
  Map m;
  const T *x, *w, *bias, *residual;  // w (k k, C), bias (C) or null, residual like x or null
  T* y;

  template <int K, bool edge, int NV, class Count>
  [[gnu::always_inline]] void block(int64_t row, int64_t x0, int64_t c, Count count) const {
    constexpr int V = simd::lanes<T>;
    const int64_t h = row % m.H, to = m.at(row, x0) + c;
    Vec<T> sum[kPixels][NV], taps[K][NV], xi[NV];
    for (int v = 0; v < NV; ++v) sum[0][v] = bias ? simd::load(bias + c + v * V, count) : Vec<T>{};
#pragma GCC unroll 16
    for (int p = 1; p < kPixels; ++p)
      for (int v = 0; v < NV; ++v) sum[p][v] = sum[0][v];
    for (int64_t ty = first_tap(m, h); ty < end_taps(m, h); ++ty)
      for (int64_t tx = 0; tx < m.k; tx += K) {
        const int64_t first = x0 + tx - m.r, from = m.at(row + ty - m.r, first) + c,
                      tap = (ty * m.k + tx) * m.C + c;
#pragma GCC unroll 8
        for (int t = 0; t < K; ++t)
          for (int v = 0; v < NV; ++v) taps[t][v] = simd::load(w + tap + t * m.C + v * V, count);
        auto load = [&](int i) {
          for (int v = 0; v < NV; ++v) xi[v] = simd::load(x + (from + i * m.C + v * V), count);
        };
        sweep<K, edge>(first, m.W, load, [&](int p, int t) {
          for (int v = 0; v < NV; ++v) sum[p][v] += xi[v] * taps[t][v];
        });
      }
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) {
      if (edge && x0 + p >= m.W) break;
      for (int v = 0; v < NV; ++v) {
        const int64_t at = to + p * m.C + v * V;
        simd::store<T>(y + at, residual ? sum[p][v] + simd::load(residual + at, count) : sum[p][v],
                       count);
      }
    }
  }
};

template <class T>
struct WeightGradient {
  Map m;
  const T *x, *dy;
  T *dw, *dbias;  // (k k, C) and (C), added into

  template <int K, bool edge, int NV, class Count>
  [[gnu::always_inline]] void block(int64_t row, int64_t x0, int64_t c, Count count) const {
    constexpr int V = simd::lanes<T>;
    const int64_t h = row % m.H, at = m.at(row, x0) + c;
    Vec<T> g[kPixels][NV], sum[K][NV], xi[NV], total[NV];
    for (int v = 0; v < NV; ++v) total[v] = simd::load(dbias + c + v * V, count);
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p)
      for (int v = 0; v < NV; ++v) {
        g[p][v] = edge && x0 + p >= m.W ? Vec<T>{} : simd::load(dy + at + p * m.C + v * V, count);
        total[v] += g[p][v];
      }
    for (int v = 0; v < NV; ++v) simd::store<T>(dbias + c + v * V, total[v], count);
    for (int64_t ty = first_tap(m, h); ty < end_taps(m, h); ++ty)
      for (int64_t tx = 0; tx < m.k; tx += K) {
        const int64_t first = x0 + tx - m.r, from = m.at(row + ty - m.r, first) + c,
                      tap = (ty * m.k + tx) * m.C + c;
#pragma GCC unroll 8
        for (int t = 0; t < K; ++t)
          for (int v = 0; v < NV; ++v) sum[t][v] = simd::load(dw + tap + t * m.C + v * V, count);
        auto load = [&](int i) {
          for (int v = 0; v < NV; ++v) xi[v] = simd::load(x + (from + i * m.C + v * V), count);
        };
        sweep<K, edge>(first, m.W, load, [&](int p, int t) {
          for (int v = 0; v < NV; ++v) sum[t][v] += xi[v] * g[p][v];
        });
#pragma GCC unroll 8
        for (int t = 0; t < K; ++t)
          for (int v = 0; v < NV; ++v) simd::store<T>(dw + tap + t * m.C + v * V, sum[t][v], count);
      }
  }
};

// All channels of kPixels pixels.
template <class T, int K, bool edge, class Kernel>
void pixels(const Kernel& kernel, int64_t row, int64_t x0) {
  constexpr int V = simd::lanes<T>;
  const int64_t C = kernel.m.C;
  int64_t c = 0;
  std::integral_constant<int, V> full;
  for (; c + kVectors * V <= C; c += kVectors * V)
    kernel.template block<K, edge, kVectors>(row, x0, c, full);
  simd::for_columns<T>(
      C, [&](int64_t c1, auto count) { kernel.template block<K, edge, 1>(row, x0, c1, count); }, c);
}

// All blocks of the rows [begin, end).
template <class T, int K, class Kernel>
void rows_of(const Kernel& kernel, int64_t begin, int64_t end) {
  const Map& m = kernel.m;
  for (int64_t row = begin; row < end; ++row)
    for (int64_t x0 = 0; x0 < m.W; x0 += kPixels)
      x0<m.r || x0 + kPixels + m.r> m.W ? pixels<T, K, true>(kernel, row, x0)
                                        : pixels<T, K, false>(kernel, row, x0);
}

template <class T, class Kernel>
void run_rows(const Kernel& kernel, int64_t begin, int64_t end) {
  switch (kernel.m.k) {
    case 3: return rows_of<T, 3>(kernel, begin, end);
    case 5: return rows_of<T, 5>(kernel, begin, end);
    default: return rows_of<T, 1>(kernel, begin, end);
  }
}

// y = bias + conv(x, w) + residual, w (C, k k), its taps in reverse order when `reversed`.
template <class T>
void depthwise_convolve(const T* x, const T* w, const T* bias, const T* residual, T* y,
                        const Map& m, bool reversed) {
  const int64_t taps = m.k * m.k;
  std::vector<T> packed(size_t(taps * m.C));  // (k k, C), so that channels are contiguous
  for (int64_t c = 0; c < m.C; ++c)
    for (int64_t t = 0; t < taps; ++t)
      packed[size_t(t * m.C + c)] = w[c * taps + (reversed ? taps - 1 - t : t)];
  const Convolve<T> kernel{m, x, packed.data(), bias, residual, y};
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, m.W * m.C));
  parallel_for(m.B * m.H, grain,
               [&](int64_t begin, int64_t end) { run_rows<T>(kernel, begin, end); });
}

// dw (C, k k), dbias (C) or null. Each part of the rows has its own (k k + 1, C) sums, dbias after
// dw; they are added in order.
template <class T>
void depthwise_weight_gradient(const T* x, const T* dy, T* dw, T* dbias, const Map& m) {
  const int64_t taps = m.k * m.k, n = (taps + 1) * m.C, rows = m.B * m.H,
                parts = part_count(rows * m.W * m.C, 1 << 15);
  std::vector<T> sums(size_t(parts * n));
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      run_rows<T>(
          WeightGradient<T>{m, x, dy, &sums[size_t(p * n)], &sums[size_t(p * n + taps * m.C)]},
          part_begin(rows, parts, p), part_begin(rows, parts, p + 1));
  });
  for (int64_t p = 1; p < parts; ++p)
    for (int64_t i = 0; i < n; ++i) sums[size_t(i)] += sums[size_t(p * n + i)];
  for (int64_t c = 0; c < m.C; ++c)
    for (int64_t t = 0; t < taps; ++t) dw[c * taps + t] = sums[size_t(t * m.C + c)];
  if (dbias) std::copy_n(&sums[size_t(taps * m.C)], m.C, dbias);
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
  const bool identity =
      residual.defined() && residual.same_as(x);  // then dx takes up dresidual in its own pass
  Tensor y = Tensor::empty_like(x);
  DISPATCH(x, depthwise_convolve, x, w, bias, residual, y, m, false);
  std::vector<Tensor> inputs{x, w, bias};
  if (residual.defined() && !identity) inputs.push_back(residual);
  return record(op, y, inputs,
                [x = x.detach(), w = w.detach(), m, identity, need_x = needs_grad(x),
                 need_w = needs_grad({w, bias}), has_bias = bias.defined(),
                 n = inputs.size()](const Tensor& dy) -> Grads {
                  Grads grads(n);
                  if (need_x) {
                    grads[0] = Tensor::empty_like(x);
                    DISPATCH(x, depthwise_convolve, dy, w, nullptr, identity ? dy : Tensor(),
                             grads[0], m, true);
                  }
                  if (need_w) {
                    grads[1] = Tensor::empty_like(w);
                    if (has_bias) grads[2] = Tensor::empty({m.C}, w.dtype(), w.device());
                    DISPATCH(x, depthwise_weight_gradient, x, dy, grads[1], grads[2], m);
                  }
                  if (n == 4) grads[3] = dy;
                  return grads;
                });
}

}  // namespace rmt
