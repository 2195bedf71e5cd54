// The models against the official PyTorch code: the same weights and images must give the same
// logits and the same gradient of every parameter. The golden files, and the script that makes
// them, are in tests/golden/.
//
// In f64 logits are compared in full, gradients by their digests. Each gradient g is projected on
// 16 vectors of random signs, p_j = sum_i s_ij g_i; the root mean square of p_j - p'_j estimates
// ||g - g'||. Its expectation is exact, and with 16 vectors the estimate is below a quarter of the
// truth with probability under 1e-4.
//
// In f32 we compare errors: ours against our own f64 result, which by then is the reference within
// 1e-9, and PyTorch's f32 against its f64, which the golden files hold. On a GPU it is the same in
// f32, and in bf16 beside PyTorch's bf16 autocast: rmt_n on an emulated one, rmt_t and rmt_s on a
// real one.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "nn/rmt/model.h"
#include "ops/cross_entropy.h"
#include "tests/check_op.h"
#include "tests/golden_model.h"
#include "train/optimizer.h"
#include "train/weights/safetensors.h"

namespace rmt::test {
using namespace train;
namespace {

using nn::Rmt, nn::RmtConfig, nn::rmt_config;

constexpr double kF64Tolerance = 1e-9;

struct Case {
  const char* model;
  int64_t H, W;
  bool training;
};

std::string name_of(const Case& c) {
  return str(c.model, "_", c.H, "x", c.W, c.training ? "_train" : "_eval");
}

struct Result {
  Tensor logits, input_gradient;
  std::vector<std::pair<std::string, Tensor>> gradients, statistics;
};

// In bf16 the parameters are f32. The result comes to the CPU.
Result run(const Case& c, DType dtype, Device device = Device::cpu) {
  RmtConfig config = rmt_config(c.model);
  config.drop_path = 0;
  Rmt model(config);
  golden_fill(model);
  model.to(wide(dtype));
  model.to(device);
  if (dtype == DType::bf16) model.make_shadows(dtype);
  model.mode().training = c.training;
  Tensor images = leaf(golden_images(2, c.H, c.W).to(dtype).to(device)),
         upstream = Tensor::empty({2, 1000}, DType::f64);
  for (int64_t i = 0; i < 2000; ++i)
    upstream.data<double>()[i] = golden_value("upstream", uint64_t(i), 0, 1);
  Tensor y = model.forward(images);
  Result r{.logits = y.to(Device::cpu)};
  backward(y, upstream.to(dtype).to(device));
  r.input_gradient = grad(images).to(Device::cpu);
  for (nn::Entry& e : model.state()) {
    if (e.parameter)
      r.gradients.emplace_back(e.name, grad(*e.tensor).to(Device::cpu));
    else if (e.name.find("running_") != std::string::npos)
      r.statistics.emplace_back(e.name, e.tensor->to(Device::cpu));
  }
  return r;
}

// A constant added before a batch norm in training changes nothing: the true gradient is 0 and what
// remains is rounding (listed in make_golden.py). Its size is measured against the largest gradient
// of the model.
struct Scale {
  double largest = 0;
  double of(double norm) const { return norm < 1e-9 * largest ? largest : norm; }
};

void expect_f64_parity(const Case& c, const Result& r, const Archive& golden) {
  EXPECT_LE(relative_error(r.logits, golden.at("logits")), kF64Tolerance);
  const double* digest = golden.at("grad_digest").data<double>();
  ASSERT_EQ(golden.at("grad_digest").shape(), (Shape{int64_t(r.gradients.size()), 17}));
  Scale scale;
  for (size_t p = 0; p < r.gradients.size(); ++p)
    scale.largest = std::max(scale.largest, digest[17 * p]);
  double worst = 0;
  for (size_t p = 0; p < r.gradients.size(); ++p) {
    auto& [name, g] = r.gradients[p];
    std::vector<double> ours = golden_digest(name, g);
    double error = golden_distance(ours, digest + 17 * p) / scale.of(digest[17 * p]);
    worst = std::max(worst, error);
    EXPECT_LE(error, kF64Tolerance) << "gradient of " << name;
    EXPECT_LE(std::fabs(ours[0] - digest[17 * p]) / scale.of(digest[17 * p]), kF64Tolerance)
        << "norm of the gradient of " << name;
  }
  std::vector<double> input = golden_image_digest(r.input_gradient);
  const double* input_digest = golden.at("input_digest").data<double>();
  EXPECT_LE(golden_distance(input, input_digest) / input_digest[0], kF64Tolerance)
      << "gradient of the input";
  if (c.training)
    for (size_t q = 0; q < r.statistics.size(); ++q) {
      const double* buffer = golden.at("buffer_digest").data<double>() + 17 * q;
      EXPECT_LE(
          golden_distance(golden_digest(r.statistics[q].first, r.statistics[q].second), buffer) /
              buffer[0],
          kF64Tolerance)
          << r.statistics[q].first;
    }
  std::printf("    %s: f64 logits %.1e, worst gradient %.1e\n", name_of(c).c_str(),
              relative_error(r.logits, golden.at("logits")), worst);
}

// Rounding errors of two different summation orders are two draws from one distribution: over all
// of a model's parameters their ratio is near 1, of a single small tensor it may by chance be more.
// Asked: no more than twice PyTorch's error for the logits, the input's gradient and the gradients
// together (root mean square of the relative errors), and no parameter beyond twice PyTorch's
// worst. `precision`: what PyTorch's errors are called in the file `errors`, fp32 or bf16.
void expect_parity(const Case& c, const std::string& precision, const Result& r32,
                   const Result& r64, const Archive& golden, const Archive& errors) {
  double logits = relative_error(r32.logits, r64.logits) /
                  *errors.at("logits_" + precision + "_error").data<double>();
  double input = relative_error(r32.input_gradient, r64.input_gradient) /
                 *errors.at("input_" + precision + "_error").data<double>();
  EXPECT_LE(logits, 2) << precision << " logits";
  EXPECT_LE(input, 2) << precision << " gradient of the input";
  const double* theirs = errors.at(precision + "_error").data<double>();
  const double* digest = golden.at("grad_digest").data<double>();
  Scale scale;
  for (size_t p = 0; p < r32.gradients.size(); ++p)
    scale.largest = std::max(scale.largest, digest[17 * p]);
  double our_sum = 0, their_sum = 0, our_worst = 0, their_worst = 0;
  std::string worst_name;
  for (size_t p = 0; p < r32.gradients.size(); ++p) {
    if (digest[17 * p] < 1e-9 * scale.largest) continue;
    double ours = relative_error(r32.gradients[p].second, r64.gradients[p].second);
    our_sum += ours * ours;
    their_sum += theirs[p] * theirs[p];
    if (ours > our_worst) {
      our_worst = ours;
      worst_name = r32.gradients[p].first;
    }
    their_worst = std::max(their_worst, theirs[p]);
  }
  EXPECT_LE(std::sqrt(our_sum / their_sum), 2) << precision << " gradients together";
  EXPECT_LE(our_worst / their_worst, 2) << precision << " gradient of " << worst_name;
  std::printf(
      "    %s: %s error over PyTorch's: logits %.2f, input %.2f, gradients %.2f, worst gradient "
      "%.2f\n",
      name_of(c).c_str(), precision.c_str(), logits, input, std::sqrt(our_sum / their_sum),
      our_worst / their_worst);
}

void PrintTo(const Case& c, std::ostream* out) { *out << name_of(c); }

class OfficialModel : public testing::TestWithParam<Case> {};

TEST_P(OfficialModel, Parity) {
  Archive golden = read_safetensors(str("tests/golden/", name_of(GetParam()), ".safetensors"));
  Result r64 = run(GetParam(), DType::f64);
  expect_f64_parity(GetParam(), r64, golden);
  expect_parity(GetParam(), "fp32", run(GetParam(), DType::f32), r64, golden, golden);
}

class OfficialModelOnGpu : public testing::TestWithParam<Case> {};

TEST_P(OfficialModelOnGpu, Parity) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  const std::string file = str("tests/golden/", name_of(GetParam()));
  Archive golden = read_safetensors(file + ".safetensors");
  Result r64 = run(GetParam(), DType::f64), r32 = run(GetParam(), DType::f32, Device::cuda);
  expect_parity(GetParam(), "fp32", r32, r64, golden, golden);
  for (size_t q = 0; q < r64.statistics.size(); ++q)
    EXPECT_LE(relative_error(r32.statistics[q].second, r64.statistics[q].second), 1e-5)
        << r64.statistics[q].first;
  expect_parity(GetParam(), "bf16", run(GetParam(), DType::bf16, Device::cuda), r64, golden,
                read_safetensors(file + "_bf16.safetensors"));
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (bool training : {false, true}) {
    all.push_back({"rmt_n", 64, 64, training});
    for (const char* model : {"rmt_t", "rmt_s"})
      for (auto [H, W] : {std::pair{224, 224}, {160, 192}, {97, 131}})
        all.push_back({model, H, W, training});
    all.push_back({"rmt_b", 224, 224, training});
    all.push_back({"rmt_l", 224, 224, training});
  }
  return all;
}

std::vector<Case> gpu_cases() {
  std::vector<Case> all;
  for (bool training : {false, true}) {
    all.push_back({"rmt_n", 64, 64, training});
    if (cuda::emulated()) continue;  // minutes each
    all.push_back({"rmt_t", 224, 224, training});
    all.push_back({"rmt_s", 224, 224, training});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(, OfficialModelOnGpu, testing::ValuesIn(gpu_cases()),
                         [](const auto& test) { return name_of(test.param); });
INSTANTIATE_TEST_SUITE_P(, OfficialModel, testing::ValuesIn(cases()),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace

TEST(Parity, HashIsTheScripts) {  // figures printed by an independent plain-Python version
  EXPECT_EQ(golden_hash("input", 0), 0x190a9f76a9bd8bf6u);
  EXPECT_EQ(golden_hash("layers.0.blocks.0.pos.conv.weight", 0), 0x1b7af7bb30b5977fu);
  EXPECT_EQ(golden_hash("norm.running_var#sign", 0), 0x75320fcc42fbd24au);
}

TEST(Parity, TenAdamWStepsInF64) {
  Archive golden = read_safetensors("tests/golden/adamw_rmt_t_97x131.safetensors");
  RmtConfig config = rmt_config("rmt_t");
  config.drop_path = 0;
  Rmt model(config);
  golden_fill(model);
  model.to(DType::f64);
  model.mode().training = true;
  Tensor images = golden_images(2, 97, 131);
  Tensor target = ops::smooth_one_hot(Tensor::from<int64_t>({11, 48}, {2}), 1000, 0.1,
                                      DType::f64);  // labels (37 b + 11) mod 1000
  Optimizer optimizer(model.parameters(), {});
  for (int64_t step = 0; step < 10; ++step) {
    Tensor loss = ops::cross_entropy(model.forward(images), target);
    EXPECT_NEAR(loss.item<double>(), golden.at("losses").data<double>()[step], 1e-8)
        << "step " << step;
    model.zero_grad();
    backward(loss);
    optimizer.step(1e-3);
  }
}

}  // namespace rmt::test
