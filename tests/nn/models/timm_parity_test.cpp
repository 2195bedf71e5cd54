// DeiT and Swin against timm's: the same weights and images must give the same logits and the same
// gradient of every parameter, in f64. The golden files, and the script that makes them, are in
// tests/golden/ (make_timm_golden.py); how digests are compared, tests/nn/parity_test.cpp says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "autograd/backward.h"
#include "nn/models/registry.h"
#include "tests/check_op.h"
#include "tests/golden_model.h"
#include "train/weights/safetensors.h"

namespace rmt::test {
namespace {

// Sums of at most 1e5 products in another order than timm's, through 24 blocks.
constexpr double kTolerance = 1e-9;
constexpr int64_t kBatch = 2, kClasses = 10;

struct TimmCase {
  const char* model;
  int64_t S;
};
std::string name_of(const TimmCase& c) { return str(c.model, "_", c.S); }
void PrintTo(const TimmCase& c, std::ostream* out) { *out << name_of(c); }

std::unique_ptr<nn::Classifier> filled(const TimmCase& c) {
  auto model = nn::make_model(c.model, {.num_classes = kClasses, .img_size = c.S, .drop_path = 0});
  golden_fill(*model);
  model->to(DType::f64);
  model->mode().training = false;
  return model;
}

class TimmModel : public testing::TestWithParam<TimmCase> {};

TEST_P(TimmModel, Parity) {
  const auto [name, S] = GetParam();
  const train::Archive golden =
      train::read_safetensors(str("tests/golden/timm_", name_of(GetParam()), ".safetensors"));
  const auto model = filled(GetParam());
  EXPECT_EQ(golden_names(*model), golden.metadata.at("names"));

  const Tensor images = leaf(golden_images(kBatch, S, S));
  Tensor upstream = Tensor::empty({kBatch, kClasses}, DType::f64);
  for (int64_t i = 0; i < upstream.numel(); ++i)
    upstream.data<double>()[i] = golden_value("upstream", uint64_t(i), 0, 1);
  const Tensor y = model->forward(images);
  EXPECT_LE(relative_error(y, golden.at("logits")), kTolerance);
  backward(y, upstream);

  const std::vector<nn::Entry> parameters = model->parameters();
  const Tensor& digests = golden.at("grad_digest");
  ASSERT_EQ(digests.shape(), (Shape{int64_t(parameters.size()), 17}));
  // A gradient of 0, as of the bias of one token's attention to itself, is measured against the
  // largest one.
  double largest = 0, worst = 0;
  for (size_t p = 0; p < parameters.size(); ++p)
    largest = std::max(largest, digests.data<double>()[17 * p]);
  for (size_t p = 0; p < parameters.size(); ++p) {
    const double* theirs = digests.data<double>() + 17 * p;
    const double scale = theirs[0] < 1e-9 * largest ? largest : theirs[0];
    const std::vector<double> ours = golden_digest(parameters[p].name, grad(*parameters[p].tensor));
    const double error =
        std::max(golden_distance(ours, theirs), std::fabs(ours[0] - theirs[0])) / scale;
    EXPECT_LE(error, kTolerance) << "gradient of " << parameters[p].name;
    worst = std::max(worst, error);
  }
  const std::vector<double> input = golden_image_digest(grad(images));
  const double* theirs = golden.at("input_digest").data<double>();
  EXPECT_LE(golden_distance(input, theirs) / theirs[0], kTolerance) << "gradient of the input";
  std::printf("    %s: logits %.1e, worst gradient %.1e\n", name_of(GetParam()).c_str(),
              relative_error(y, golden.at("logits")), worst);
}

INSTANTIATE_TEST_SUITE_P(, TimmModel,
                         testing::Values(TimmCase{"deit_s", 224}, TimmCase{"deit_s", 160},
                                         TimmCase{"swin_t", 224}, TimmCase{"swin_t", 160},
                                         TimmCase{"swin_t", 32}, TimmCase{"swin_s", 224},
                                         TimmCase{"swin_s", 64}),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace rmt::test
