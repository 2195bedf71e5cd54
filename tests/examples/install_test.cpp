// What `make install` leaves is enough for a program of one's own, outside of the sources.
#include "core/error.h"
#include "core/files/files.h"
#include "tests/examples/programs.h"

namespace rmt::test {
namespace {

constexpr const char* kProgram = R"(
#include <cstdio>
#include "autograd/backward.h"
#include "data/loader.h"
#include "nn/linear.h"
#include "nn/models/registry.h"
#include "ops/cross_entropy.h"
#include "ops/normalize.h"
#include "ops/view.h"
#include "train/optimizer.h"
using namespace rmt;

struct Perceptron : nn::Classifier {
  nn::Linear& head;
  Perceptron(int64_t S, int64_t K) : head(add<nn::Linear>("head", S * S * 3, K)) {}
  Tensor forward(const Tensor& x) override { return head.forward(ops::view(x, {x.dim(0), -1})); }
};
static const nn::RegisterModel registered(
    "perceptron", "one linear layer", [](const nn::ModelSettings& s) {
      return std::make_unique<Perceptron>(s.img_size, s.num_classes);
    });

struct Grey : data::Dataset {  // image i is of the brightness 2 i, and from i = 50 on it is light
  std::vector<std::string> names{"dark", "light"};
  int64_t size() const override { return 100; }
  int64_t label(int64_t i) const override { return i / 50; }
  data::Image image(int64_t i) const override {
    return {8, 8, std::vector<uint8_t>(8 * 8 * 3, uint8_t(2 * i))};
  }
  const std::vector<std::string>& classes() const override { return names; }
};

int main() {
  const Grey data;
  data::Loader loader(data, {.batch_size = 25, .transform = {.image_size = 8}});
  const auto model = nn::make_model("perceptron", {.num_classes = 2, .img_size = 8});
  model->init(1);
  train::Optimizer optimizer(model->parameters(), {});
  loader.start(0);
  for (int step = 0; step < 3; ++step) {
    const data::Batch batch = *loader.next();
    const Tensor x =
        ops::normalize(batch.images, batch.mirror, {{.5, .5, .5}, {1, 1, 1}}, DType::f32);
    const Tensor loss =
        ops::cross_entropy(model->forward(x), ops::smooth_one_hot(batch.labels, 2, 0));
    model->zero_grad();
    backward(loss);
    optimizer.step(0.01);
    std::printf("step %d: loss %.4f\n", step, double(loss.item<float>()));
  }
}
)";

}  // namespace

TEST_F(Programs, InstalledTheyServeAProgramElsewhere) {
  const std::string root = std::filesystem::current_path().string(), there = folder / "usr";
  const Result made = shell(str("make -s -C '", root, "' install PREFIX='", there, "'"));
  ASSERT_EQ(made.status, 0) << made.text;
  for (const char* file : {"include/rmt/core/tensor.h", "include/rmt/core/cuda/elementwise.cuh",
                           "include/rmt/train/settings.def", "lib/librmt.a"})
    EXPECT_TRUE(std::filesystem::exists(there + "/" + file)) << file;
  for (const char* folder_of_none : {"include/rmt/tests", "include/rmt/examples"})
    EXPECT_FALSE(std::filesystem::exists(there + "/" + folder_of_none)) << folder_of_none;

  write_file(folder / "outside.cpp", kProgram);
  // Where there is no pkg-config, its file is read as it reads it.
  const Result built = shell(str(R"(
    pc=usr/lib/pkgconfig/rmt.pc
    flags=$(PKG_CONFIG_PATH=$PWD/usr/lib/pkgconfig pkg-config --cflags --libs rmt) ||
      flags=$(prefix=$(sed -n 's/^prefix=//p' $pc)
              sed -n "s|\${prefix}|$prefix|g; s/^Cflags: //p; s/^Libs: //p" $pc)
    ${CXX:-g++} -O1 -Wall -Werror outside.cpp $flags -o outside)"));
  ASSERT_EQ(built.status, 0) << built.text;
  const Result r = shell("./outside");
  EXPECT_EQ(r.status, 0) << r.text;
  EXPECT_EQ(r.text.find("step 0: loss 0."), 0u) << r.text;
  EXPECT_NE(r.text.find("step 2: loss"), std::string::npos) << r.text;
  bin = there + "/bin";
  expect("rmt-info --list", 0, {"rmt_n"});
}

}  // namespace rmt::test
