// What the CUDA kernels of attention are called with, by manhattan_attention.cpp and by ops that
// keep q, k and v side by side in one tensor. The kernels are those of manhattan_attention.cu.
#pragma once
#include "ops/attention/lines.h"

namespace rmt::gpu {

// Of a line, at most, in the kernels for tensor cores.
constexpr int64_t kMaxPositions = 256;

// The inputs of a call. Each of q, k, v, dy has (B, H, W, C) numbers, C = heads D, and its
// positions need not follow one another without a gap: from a position to the next are qk_stride
// numbers in q and in k, v_stride in v, y_stride in y and dy, each C or more.
template <class T>
struct Attention {
  const T *q, *k, *v, *dy;  // dy for the gradients only
  const Wide<T>* decay;     // (heads), or null
  const Wide<T>* rotary;    // (H W, D), or null
  Lines lines;
  int64_t qk_stride, v_stride, y_stride;
};

// Where the gradients go: dq and dk lie as q and k do, dv as v does. With add_qk dq and dk are
// added to the numbers that are there, with add_v dv is; else they are written. A sum is rounded to
// T, and before it, in the kernels for tensor cores, what is added. No result may overlap an input
// or another result; they may lie between one another's positions.
template <class T>
struct AttentionGradients {
  T *dq, *dk, *dv;
  bool add_qk = false, add_v = false;
};

// y = A v, and the gradients, which make A again. `lines` must not be empty. T is f32, f64 or bf16.
template <class T>
void attention_forward(const Attention<T>& a, T* y);
template <class T>
void attention_backward(const Attention<T>& a, const AttentionGradients<T>& to);

}  // namespace rmt::gpu
