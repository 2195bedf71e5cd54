// Manhattan attention with a gate in the place of the softmax, the paper's ablation "softmax ->
// gate" (nn/rmt/README.md, "Published numbers"): scores as they are, of either sign, kept in bounds
// the way RetNet does it.
//
//   R_ij = q'_i . k'_j M_ij,   M_ij = gamma^d_ij / (sum_j gamma^d_ij)^1/2
//   gather(q', k', v)_i = sum_j R_ij v_j / max(|sum_j R_ij|, 1)
//
// over the whole map, or along W and then along H; norm and gate follow (nn/rmt/retention.h).
#pragma once
#include "nn/rmt/retention.h"
#include "ops/add.h"
#include "ops/div.h"
#include "ops/matmul.h"
#include "ops/mean.h"
#include "ops/relu.h"
#include "ops/transpose.h"

namespace rmt::nn {

struct GatedManhattan : GatedAttention {
  bool decomposed;

  GatedManhattan(const RmtConfig& c, const StageConfig& s)
      : GatedAttention(c, s), decomposed(s.decomposed) {}

 protected:
  Tensor gather(const Tensor& q, const Tensor& k, const Tensor& v, Position& position) override {
    const int64_t B = v.dim(0), H = v.dim(1), W = v.dim(2), C = v.dim(3);
    const DType dtype = wide(v.dtype());
    if (!decomposed) {
      const Shape row{B, 1, H * W, C};
      const Tensor y = along_rows(ops::view(q, row), ops::view(k, row), ops::view(v, row),
                                  position.weights(H, W, dtype, with_decay));
      return ops::view(y, v.shape());
    }
    const Tensor of_rows = along_rows(q, k, v, position.weights(1, W, dtype, with_decay));
    const auto turned = [](const Tensor& x) { return ops::transpose(x, 1, 2); };
    return turned(along_rows(turned(q), turned(k), turned(of_rows),
                             position.weights(1, H, dtype, with_decay)));
  }

 private:
  // q, k, v (B, H, W, C), M (N, W, W): each row of W tokens by itself.
  Tensor along_rows(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& M) const {
    const Shape of_heads{v.dim(0), v.dim(1), v.dim(2), heads, v.dim(3) / heads};
    const auto units = [&](const Tensor& x) {  // (B, H, N, W, D)
      return ops::transpose(ops::view(x, of_heads), 2, 3);
    };
    const Tensor R = ops::mul(ops::matmul(units(q), units(k), false, true), M);  // (B, H, N, W, W)
    const Tensor y = ops::div(ops::matmul(R, units(v)), bound(R));
    return ops::view(ops::transpose(y, 2, 3), v.shape());
  }
  // max(|sum_j R_ij|, 1), (..., n, n) -> (..., n, 1)
  static Tensor bound(const Tensor& R) {
    const Tensor sum = ops::scale(ops::mean(R, -1), double(R.shape()[-1]));
    const Tensor size = ops::add(ops::relu(sum), ops::relu(ops::scale(sum, -1)));
    Shape column = R.shape();
    column.set(-1, 1);
    return ops::view(ops::scale(ops::relu(ops::scale(size, 1, -1)), 1, 1), column);
  }
};

}  // namespace rmt::nn
