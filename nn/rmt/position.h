// What a stage knows about positions, two constants: how fast each head's attention decays with the
// distance, and by which angles queries and keys turn from one position to the next
// (nn/rmt/README.md, "Decay" and "Rotation").
//
//   decay_i = log(1 - 2^(-a - (b - a) i / N))        head i = 0 ... N - 1
//   theta_j = 10000^(-j / (D/2 - 1))                 pair of channels j = 0 ... D/2 - 1
//
// Both are computed in f32 as in the official model, and widened from there: copies of the model in
// f64 hold the same rounded numbers.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "nn/module.h"
#include "nn/rmt/config.h"
#include "ops/attention/rotary.h"

namespace rmt::nn {

struct Position : Module {
  Tensor& angle;  // (D): theta_0, theta_0, theta_1, theta_1, ...
  Tensor& decay;  // (N): logarithms, below 0

  explicit Position(const StageConfig& s)
      : angle(buffer("angle", angles(s.channels / s.heads))),
        decay(buffer("decay", decays(s.heads, float(s.decay_first), float(s.decay_range)))) {}

  // cos and sin of every position's angles for a map of H x W, (H W, D). The table is made once for
  // each size and stays where it is beside those of other sizes, because a recorded GPU graph goes
  // on reading it there.
  Tensor rotary(int64_t H, int64_t W, DType dtype) {
    return table(rotary_, H, W, dtype, [&] { return ops::rotary_table(angle, H, W, dtype); });
  }
  // M_ij = gamma^d_ij / (sum_j gamma^d_ij)^1/2 for all pairs of positions of a map of H x W, d_ij
  // their Manhattan distance, for each head (N, H W, H W); without decay gamma is 1. Kept likewise.
  Tensor weights(int64_t H, int64_t W, DType dtype, bool with_decay) {
    return table(weights_, H, W, dtype, [&] {
      std::vector<double> log_gamma = decay.to(DType::f64).to_vector<double>();
      if (!with_decay) std::fill(log_gamma.begin(), log_gamma.end(), 0.);
      return scaled_decay(log_gamma, H, W).to(dtype).to(decay.device());
    });
  }

 private:
  // t_j = j / (n - 1) for j = 0 ... n - 1, rounded as PyTorch's linspace rounds it: counted from
  // the nearer end, so that both ends are exact.
  static float linspace(int64_t j, int64_t n) {
    const float step = n > 1 ? 1.f / float(n - 1) : 0.f;
    if (j < (n + 1) / 2) return step * float(j);
    return std::fma(-step, float(n - 1 - j), 1.f);
  }
  static Tensor angles(int64_t D) {
    CHECK(D >= 2 && D % 2 == 0, "position: head dimension ", D,
          " must be even: rotations act on pairs of channels");
    Tensor x = Tensor::empty({D});
    float* theta = x.data<float>();
    for (int64_t j = 0; j < D / 2; ++j) {
      theta[2 * j] = 1.f / float(std::pow(10000.0, double(linspace(j, D / 2))));
      theta[2 * j + 1] = theta[2 * j];
    }
    return x;
  }
  static Tensor decays(int64_t heads, float a, float range) {
    Tensor x = Tensor::empty({heads});
    for (int64_t i = 0; i < heads; ++i) {
      const float gamma = 1.f - float(std::exp2(double(-a - range * float(i) / float(heads))));
      x.data<float>()[i] = float(std::log(double(gamma)));
    }
    return x;
  }

  static Tensor scaled_decay(const std::vector<double>& log_gamma, int64_t H, int64_t W) {
    const int64_t L = H * W;
    Tensor M = Tensor::empty({int64_t(log_gamma.size()), L, L}, DType::f64);
    double* row = M.data<double>();
    for (double g : log_gamma)
      for (int64_t i = 0; i < L; ++i, row += L) {
        double sum = 0;
        for (int64_t j = 0; j < L; ++j) {
          const int64_t d = std::abs(i / W - j / W) + std::abs(i % W - j % W);
          row[j] = std::exp(g * double(d));
          sum += row[j];
        }
        for (int64_t j = 0; j < L; ++j) row[j] /= std::sqrt(sum);
      }
    return M;
  }

  struct Table {
    int64_t H, W;
    Tensor x;
  };
  // The one of this size and type on the device of the model, made where there is none.
  template <class F>
  Tensor table(std::vector<Table>& known, int64_t H, int64_t W, DType dtype, const F& make) {
    for (const Table& t : known)
      if (t.H == H && t.W == W && t.x.dtype() == dtype && t.x.device() == angle.device())
        return t.x;
    known.push_back({H, W, make()});
    return known.back().x;
  }
  std::vector<Table> rotary_, weights_;
};

}  // namespace rmt::nn
