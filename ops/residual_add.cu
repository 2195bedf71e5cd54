// residual_add.cpp's formulas. A thread keeps to some columns, with their gamma in registers, and
// walks down the rows (core/cuda/columns.cuh).
#include "core/cuda/columns.cuh"

namespace rmt::gpu {
namespace {

// gamma and scale, which is s, may be null: 1. R rows are one sample.
template <class T>
struct Factors {
  using W = Wide<T>;
  const W *gamma, *scale;
  unsigned R;

  template <int N>
  __device__ cuda::Values<W, N> columns(int64_t c) const {
    if (gamma) return cuda::load<N>(gamma + c);
    return W(1);
  }
  __device__ W row(unsigned r) const { return scale ? scale[r / R] : W(1); }
};

template <class T>
struct Forward : Factors<T> {
  using W = Wide<T>;
  template <class V>
  __device__ V operator()(const V& gamma_c, W s, const V& x, const V& f) const {
    return x + s * gamma_c * f;
  }
};

template <class T>
struct BackwardF : Factors<T> {  // df alone
  using W = Wide<T>;
  template <class V>
  __device__ V operator()(const V& gamma_c, W s, const V& dy) const {
    return s * dy * gamma_c;
  }
};

template <class T, int N>
struct BackwardGamma {  // dgamma, and df in the same pass unless it is null
  using W = Wide<T>;
  Factors<T> factors;
  const T *f, *dy;
  T* df;
  int64_t C;

  __device__ void operator()(int64_t r, int64_t c, cuda::Values<W, N> (&sums)[1]) const {
    const cuda::Values<W, N> s_dy = cuda::load<N>(dy + r * C + c) * factors.row(unsigned(r));
    sums[0] += s_dy * cuda::load<N>(f + r * C + c);
    if (df) cuda::store<N>(df + r * C + c, s_dy * factors.template columns<N>(c));
  }
};

}  // namespace

template <class T>
void residual_add_forward(const T* x, const T* f, const Wide<T>* gamma, const Wide<T>* s, T* y,
                          int64_t B, int64_t R, int64_t C) {
  cuda::map_columns("residual_add_forward", Forward<T>{{gamma, s, unsigned(R)}},
                    cuda::aligned(gamma), y, B * R, C, x, f);
}

template <class T>
void residual_add_backward(const T* f, const Wide<T>* gamma, const Wide<T>* s, const T* dy, T* df,
                           Wide<T>* dgamma, int64_t B, int64_t R, int64_t C) {
  const Factors<T> factors{gamma, s, unsigned(R)};
  if (!dgamma) {
    if (df)
      cuda::map_columns("residual_add_backward", BackwardF<T>{factors}, cuda::aligned(gamma), df,
                        B * R, C, dy);
    return;
  }
  CHECK(B * R < int64_t(1) << 32, "residual_add: ", B * R, " rows, expected fewer than 2^32");
  constexpr int N = 16 / int(sizeof(T));
  const cuda::Outputs<Wide<T>> out{{dgamma}};
  if (C % N == 0 && cuda::aligned(f, dy, df, gamma))
    cuda::column_sums<1, N>("residual_add_backward", BackwardGamma<T, N>{factors, f, dy, df, C},
                            out, B * R, C);
  else
    cuda::column_sums<1, 1>("residual_add_backward", BackwardGamma<T, 1>{factors, f, dy, df, C},
                            out, B * R, C);
}

INSTANTIATE(residual_add_forward)
INSTANTIATE(residual_add_backward)

}  // namespace rmt::gpu
