// From pixels to tokens by patches, and from four tokens to one. Neither overlaps its neighbours,
// so each is a linear layer on what it gathers.
#pragma once
#include <string>

#include "nn/conv.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "ops/concat.h"
#include "ops/transpose.h"
#include "ops/view.h"

namespace rmt::nn {

// Error for what is no batch of images.
inline void expect_images(const std::string& model, const Tensor& x) {
  CHECK(x.rank() == 4 && x.dim(3) == 3, model, ": images must be (B, H, W, 3), got ", x.shape());
}

// Error for images of another size than S x S, where a model has parameters for each position.
inline void expect_images_of(const std::string& model, const Tensor& x, int64_t S) {
  expect_images(model, x);
  CHECK(x.dim(1) == S && x.dim(2) == S, model, ": its positions are those of images of ", S, " x ",
        S, ", got ", x.dim(1), " x ", x.dim(2), "; resize them, or make the model for that size");
}

// The positions along a side of S pixels, p to a patch. Error where patches do not fill it.
inline int64_t patches_along(const std::string& model, int64_t S, int64_t p) {
  CHECK(p >= 1 && S >= p && S % p == 0, model, ": patches of ", p, " x ", p,
        " do not fill images of ", S, " x ", S, "; give a multiple of ", p);
  return S / p;
}

// (B, H, W, 3) -> (B, H/p, W/p, C), sizes rounded down
struct PatchEmbed : Module {
  Conv2d& proj;
  LayerNorm* norm;  // or null
  PatchEmbed(int64_t C, int64_t p) : proj(add<Conv2d>("proj", 3, C, p, p, 0)), norm(nullptr) {}
  PatchEmbed(int64_t C, int64_t p, double norm_eps) : PatchEmbed(C, p) {
    norm = &add<LayerNorm>("norm", C, norm_eps);
  }
  Tensor forward(const Tensor& images) {
    const Tensor x = proj.forward(images);
    return norm ? norm->forward(x) : x;
  }
};

// x (B, H, W, C) with rows of zeros below and columns at the right, until both are multiples of n.
inline Tensor padded(Tensor x, int64_t n) {
  for (int axis : {1, 2}) {
    Shape missing = x.shape();
    missing.set(axis, (n - x.dim(axis) % n) % n);
    if (missing[axis] > 0)
      x = ops::concat({x, Tensor::zeros(missing, x.dtype(), x.device())}, axis);
  }
  return x;
}

// Each 2 x 2 tokens become one, of twice the channels: in the order (0, 0) (1, 0) (0, 1) (1, 1) of
// (row, column) they are one vector, which is normalised and projected.
//   (B, H, W, C) -> (B, H/2, W/2, 2 C), sizes rounded up
struct PatchMerging : Module {
  LayerNorm& norm;
  Linear& reduction;
  PatchMerging(int64_t C, double eps)
      : norm(add<LayerNorm>("norm", 4 * C, eps)),
        reduction(add<Linear>("reduction", 4 * C, 2 * C, false)) {}
  Tensor forward(const Tensor& map) {
    const Tensor x = padded(map, 2);
    const int64_t B = x.dim(0), h = x.dim(1) / 2, w = x.dim(2) / 2, C = x.dim(3);
    // (B, h, row, w, column, C) -> (B, h, w, row, column, C) -> (B, h, w, column, row, C)
    const Tensor rows = ops::transpose(ops::view(x, {B, h, 2, w, 2 * C}), 2, 3);
    const Tensor square = ops::transpose(ops::view(rows, {B, h, w, 2, 2, C}), 3, 4);
    return reduction.forward(norm.forward(ops::view(square, {B, h, w, 4 * C})));
  }
};

}  // namespace rmt::nn
