// A model and a data set as somebody would write them who only uses the library: nothing of RMT, no
// layer called "head", no files.
#pragma once
#include "core/random.h"
#include "data/dataset.h"
#include "nn/conv.h"
#include "nn/linear.h"
#include "nn/models/registry.h"
#include "nn/norm.h"
#include "ops/add.h"
#include "ops/mean_pool.h"
#include "ops/relu.h"

namespace rmt::test {

// 32 x 32 pixels of noise in memory, of classes that differ in how bright it is.
struct Noise : data::Dataset {
  std::vector<data::Image> images;
  std::vector<std::string> names;

  explicit Noise(int64_t n, uint64_t seed = 1, std::vector<std::string> names_ = {"dark", "light"})
      : names(std::move(names_)) {
    Random random(seed, Purpose::test);
    const uint64_t K = names.size();
    for (int64_t i = 0; i < n; ++i) {
      images.push_back({32, 32, std::vector<uint8_t>(32 * 32 * 3)});
      for (uint8_t& v : images.back().rgb)
        v = uint8_t(random.below(128) + 128 * (uint64_t(i) % K) / K);
    }
  }
  int64_t size() const override { return int64_t(images.size()); }
  int64_t label(int64_t i) const override { return i % int64_t(names.size()); }
  data::Image image(int64_t i) const override { return images[size_t(i)]; }
  const std::vector<std::string>& classes() const override { return names; }
};

// y = x + relu(x w^T + b).  (B, H, W, C) -> same
struct OwnBlock : nn::Module {
  nn::Linear& linear;
  explicit OwnBlock(int64_t C) : linear(add<nn::Linear>("linear", C, C)) {}
  Tensor forward(const Tensor& x) { return ops::add(x, ops::relu(linear.forward(x))); }
};

struct OwnNet : nn::Classifier {
  nn::Conv2d& stem;
  nn::BatchNorm& norm;
  nn::Linear& fc;  // stands before the blocks, as in any class whose blocks are made in a loop
  std::vector<OwnBlock*> blocks;
  explicit OwnNet(int64_t K)
      : stem(add<nn::Conv2d>("stem", 3, 8, 4, 4, 0)),
        norm(add<nn::BatchNorm>("norm", 8)),
        fc(add<nn::Linear>("fc", 8, K)) {
    for (int i = 0; i < 2; ++i) blocks.push_back(&add<OwnBlock>(str("blocks.", i), 8));
  }
  Tensor forward(const Tensor& images) override {  // (B, S, S, 3) -> (B, K)
    Tensor x = norm.forward(stem.forward(images));
    for (OwnBlock* block : blocks) x = block->forward(x);
    return fc.forward(ops::mean_pool(x));
  }
  std::string classifier() const override { return "fc"; }
};

}  // namespace rmt::test
