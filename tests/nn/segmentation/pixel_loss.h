// The loss of segmentation over all pixels, and labels made up by a hash.
#pragma once
#include <vector>

#include "ops/pixel_cross_entropy.h"
#include "ops/resize_bilinear.h"
#include "tests/nn/dense_golden.h"

namespace rmt::test {

constexpr int64_t kIgnored = 255;

// (B, H, W): blocks of 16 x 16 pixels, each of a class by the hash, and a border of 5 pixels that
// is ignored.
inline std::vector<int64_t> block_labels(int64_t B, int64_t H, int64_t W, int64_t classes) {
  const int64_t h = H / 16, w = W / 16;
  const std::vector<double> u = dense_uniform("label", B * h * w);
  std::vector<int64_t> labels;
  for (int64_t b = 0; b < B; ++b)
    for (int64_t y = 0; y < H; ++y)
      for (int64_t x = 0; x < W; ++x) {
        const bool border = std::min(y, x) < 5 || y >= H - 5 || x >= W - 5;
        const double of_block = u[size_t((b * h + y / 16) * w + x / 16)];
        labels.push_back(border ? kIgnored : int64_t(of_block * double(classes)));
      }
  return labels;
}

// p (..., K) -> for each row the first of its largest numbers
inline std::vector<int64_t> likeliest(const Tensor& p) {
  const int64_t K = p.dim(p.rank() - 1);
  const std::vector<double> v = p.to(DType::f64).to_vector<double>();
  std::vector<int64_t> classes;
  for (auto row = v.begin(); row != v.end(); row += K)
    classes.push_back(std::max_element(row, row + K) - row);
  return classes;
}

struct PixelLoss {
  Tensor loss;
  double accuracy;  // percent
};

// Logits (B, h, w, K) resized to H x W; loss and accuracy over all pixels, an ignored one counting
// as a loss of 0 and as wrong.
inline PixelLoss pixel_loss(const Tensor& logits, const std::vector<int64_t>& labels, int64_t H,
                            int64_t W) {
  const int64_t N = int64_t(labels.size());
  const Tensor z = ops::resize_bilinear(logits, H, W);
  const Tensor truth = Tensor::from<int64_t>(labels, {logits.dim(0), H, W}).to(z.device());
  const std::vector<int64_t> classes = likeliest(z);
  int64_t right = 0;
  for (size_t i = 0; i < labels.size(); ++i) right += classes[i] == labels[i];
  return {ops::pixel_cross_entropy(z, truth, kIgnored, double(N)), 100 * double(right) / double(N)};
}

}  // namespace rmt::test
