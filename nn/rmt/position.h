// What a stage knows about positions (RMT.md 1.2.5, 1.2.6): the decay of each head and the angles
// of the rotation, both constants.
#pragma once
#include <cmath>

#include "nn/module.h"
#include "nn/rmt/config.h"
#include "ops/attention/rotary.h"

namespace rmt::nn {

struct Position : Module {
  // Both are taken in f32 as the official model does, so that wider copies of it hold the same
  // rounded numbers.
  Tensor& angle;  // (D): angle_2j = angle_2j+1 = 10000^-t_j, t_j from 0 to 1, both ends included
  Tensor& decay;  // (heads): log(1 - 2^(-a - range i / heads))

  Position(int64_t C, int64_t heads, double a, double range)
      : angle(buffer("angle", angles(C / heads))),
        decay(buffer("decay", decays(heads, float(a), float(range)))) {}

  // cos and sin of every position (H W, D); made once for a size and kept beside those of other
  // sizes: a recorded graph goes on reading where they are.
  Tensor rotary(int64_t H, int64_t W, DType dtype) {
    for (const Table& t : tables_)
      if (t.H == H && t.W == W && t.x.dtype() == dtype && t.x.device() == angle.device())
        return t.x;
    tables_.push_back({H, W, ops::rotary_table(angle, H, W, dtype)});
    return tables_.back().x;
  }

 private:
  static Tensor angles(int64_t D) {
    CHECK(D >= 2 && D % 2 == 0, "position: head dimension ", D,
          " must be even: rotations act on pairs of channels");
    int64_t n = D / 2;
    float step = n > 1 ? 1.f / float(n - 1) : 0.f;
    Tensor x = Tensor::empty({D});
    for (int64_t j = 0; j < n; ++j) {
      float t = j < (n + 1) / 2
                    ? step * float(j)
                    : std::fma(-step, float(n - 1 - j),
                               1.f);  // from the nearer end, rounded once: PyTorch's linspace
      x.data<float>()[2 * j] = x.data<float>()[2 * j + 1] =
          1.f / float(std::pow(10000.0, double(t)));
    }
    return x;
  }
  static Tensor decays(int64_t heads, float a, float range) {
    Tensor x = Tensor::empty({heads});
    for (int64_t i = 0; i < heads; ++i) {
      float gamma = 1.f - float(std::exp2(double(-a - range * float(i) / float(heads))));
      x.data<float>()[i] = float(std::log(double(gamma)));
    }
    return x;
  }

  struct Table {
    int64_t H, W;
    Tensor x;
  };
  std::vector<Table> tables_;
};

}  // namespace rmt::nn
