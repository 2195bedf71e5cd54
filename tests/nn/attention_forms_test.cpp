// RetNet's forms of attention in the model: each against its formula in plain loops, the three
// forms of retention against one another, and what they cost (nn/rmt/retention.h, nn/rmt/gate.h).
#include <cmath>

#include "autograd/backward.h"
#include "nn/rmt/cost.h"
#include "tests/check_op.h"
#include "tests/device.h"
#include "tests/nn/small_model.h"

namespace rmt::test {
namespace {

using nn::AttentionForm, nn::Rmt, nn::RmtConfig, nn::StageConfig;

constexpr int64_t kH = 3, kW = 5, kHeads = 2, kD = 4, kC = kHeads * kD;

StageConfig stage(bool decomposed) {
  StageConfig s;
  s.channels = kC;
  s.heads = kHeads;
  s.decay_range = 4;
  s.decomposed = decomposed;
  return s;
}

// Weights that are larger than the initial ones, so that every part matters; in f64.
void prepare(nn::Module& m) {
  m.init(3);
  for (const nn::Entry& e : m.parameters()) {
    const Tensor noise = randn(e.tensor->shape(), std::hash<std::string>()(e.name), 0, 0.4);
    for (int64_t i = 0; i < noise.numel(); ++i)
      e.tensor->data<float>()[i] += float(noise.data<double>()[i]);
  }
  m.to(DType::f64);
}

// One token's channels of one head, turned by its angles.
std::vector<double> turned(const Tensor& x, const Tensor& rotary, int64_t token, int64_t head) {
  const double* from = x.data<double>() + token * kC + head * kD;
  const double* angle = rotary.data<double>() + token * kD;
  std::vector<double> y;
  for (int64_t d = 0; d < kD; d += 2) {
    y.push_back(from[d] * angle[d] - from[d + 1] * angle[d + 1]);
    y.push_back(from[d + 1] * angle[d] + from[d] * angle[d + 1]);
  }
  return y;
}

// The formulas at the head of nn/rmt/retention.h and nn/rmt/gate.h for one image: numbers before
// out_proj, without LCE.
class Definition {
 public:
  Definition(nn::GatedAttention& a, nn::Position& position, const Tensor& x)
      : q_(a.q_proj.forward(x)),
        k_(a.k_proj.forward(x)),
        v_(a.v_proj.forward(x)),
        g_(a.g_proj.forward(x)),
        rotary_(position.rotary(kH, kW, DType::f64)),
        decay_(position.decay) {}

  Tensor retention() const {
    Tensor y = Tensor::zeros({1, kH, kW, kC}, DType::f64);
    for (int64_t h = 0; h < kHeads; ++h)
      for (int64_t n = 0; n < kH * kW; ++n)
        for (int64_t m = 0; m <= n; ++m) add(y, v_, n, m, h, power(h, n - m) * score(n, m, h));
    return gated(y);
  }
  Tensor gate(bool decomposed) const {
    const auto all = [](int64_t, int64_t) { return true; };
    const auto row = [](int64_t i, int64_t j) { return i / kW == j / kW; };
    const auto column = [](int64_t i, int64_t j) { return i % kW == j % kW; };
    return gated(decomposed ? along(along(v_, row), column) : along(v_, all));
  }

 private:
  double power(int64_t head, int64_t n) const {
    return std::exp(decay_.data<double>()[head] * double(n));
  }
  double score(int64_t i, int64_t j, int64_t head) const {
    const std::vector<double> q = turned(q_, rotary_, i, head), k = turned(k_, rotary_, j, head);
    double sum = 0;
    for (size_t d = 0; d < q.size(); ++d) sum += q[d] * k[d];
    return sum / std::sqrt(double(kD));
  }
  static void add(const Tensor& y, const Tensor& v, int64_t i, int64_t j, int64_t h,
                  double weight) {
    for (int64_t d = 0; d < kD; ++d)
      y.data<double>()[i * kC + h * kD + d] += weight * v.data<double>()[j * kC + h * kD + d];
  }
  // Each token gathers from those j of which sees(i, j).
  template <class Sees>
  Tensor along(const Tensor& v, const Sees& sees) const {
    Tensor y = Tensor::zeros({1, kH, kW, kC}, DType::f64);
    for (int64_t h = 0; h < kHeads; ++h)
      for (int64_t i = 0; i < kH * kW; ++i) {
        double decays = 0, sum = 0;
        std::vector<double> R(size_t(kH * kW));
        for (int64_t j = 0; j < kH * kW; ++j)
          if (sees(i, j)) decays += power(h, distance(i, j));
        for (int64_t j = 0; j < kH * kW; ++j)
          if (sees(i, j)) {
            R[size_t(j)] = score(i, j, h) * power(h, distance(i, j)) / std::sqrt(decays);
            sum += R[size_t(j)];
          }
        for (int64_t j = 0; j < kH * kW; ++j)
          add(y, v, i, j, h, R[size_t(j)] / std::max(std::fabs(sum), 1.));
      }
    return y;
  }
  static int64_t distance(int64_t i, int64_t j) {
    return std::abs(i / kW - j / kW) + std::abs(i % kW - j % kW);
  }
  // swish(g) times y, normalised head by head.
  Tensor gated(const Tensor& y) const {
    Tensor out = Tensor::zeros_like(y);
    for (int64_t unit = 0; unit < kH * kW * kHeads; ++unit) {
      const double *of = y.data<double>() + unit * kD, *g = g_.data<double>() + unit * kD;
      double mean = 0, variance = 0;
      for (int64_t d = 0; d < kD; ++d) mean += of[d] / kD;
      for (int64_t d = 0; d < kD; ++d) variance += (of[d] - mean) * (of[d] - mean) / kD;
      for (int64_t d = 0; d < kD; ++d)
        out.data<double>()[unit * kD + d] =
            g[d] / (1 + std::exp(-g[d])) * (of[d] - mean) / std::sqrt(variance + 1e-5);
    }
    return out;
  }

  Tensor q_, k_, v_, g_, rotary_, decay_;
};

void expect_equal(const Tensor& a, const Tensor& b, const char* what) {
  ASSERT_EQ(a.shape(), b.shape());
  for (int64_t i = 0; i < a.numel(); ++i)
    ASSERT_NEAR(a.data<double>()[i], b.data<double>()[i], 1e-11) << what << ", element " << i;
}

RmtConfig small(AttentionForm form) {
  RmtConfig c = small_model({8, 16, 16, 32}, {1, 1, 2, 1}, {1, 2, 2, 4});
  c.attention = form;
  c.num_classes = 7;
  c.projection = 24;
  return c;
}

// Logits and all gradients, in training.
std::vector<Tensor> results(Rmt& model, const Tensor& images, const Tensor& u) {
  model.mode() = {.training = true, .seed = 1};
  const Tensor y = model.forward(images);
  backward(y, u);
  std::vector<Tensor> out = {y.detach().to(Device::cpu)};
  for (const nn::Entry& e : model.parameters()) out.push_back(grad(*e.tensor).to(Device::cpu));
  return out;
}

}  // namespace

TEST(AttentionForms, AreTheirDefinitions) {
  NoGrad off;
  const Tensor x = randn({1, kH, kW, kC}, 4);
  RmtConfig c;
  c.local_context = false;
  c.retention_chunk = 4;
  for (bool decomposed : {false, true}) {
    const StageConfig s = stage(decomposed);
    nn::Position position(s);
    position.to(DType::f64);
    nn::Retention retention(c, s);
    prepare(retention);
    expect_equal(retention.forward(x, position),
                 retention.out_proj.forward(Definition(retention, position, x).retention()),
                 "retention");
    nn::GatedManhattan gate(c, s);
    prepare(gate);
    expect_equal(gate.forward(x, position),
                 gate.out_proj.forward(Definition(gate, position, x).gate(decomposed)), "gate");
  }
}

TEST(AttentionForms, RetentionIsTheSameModelInAllThreeForms) {
  const Tensor images = randn({2, 45, 64, 3}, 5), u = randn({2, 7}, 6);
  std::vector<Tensor> expected;
  for (ops::RetentionForm form : {ops::RetentionForm::parallel, ops::RetentionForm::chunkwise,
                                  ops::RetentionForm::recurrent}) {
    RmtConfig c = small(AttentionForm::retention);
    c.retention_form = form;
    Rmt model(c);
    prepare(model);
    const std::vector<Tensor> r = results(model, images, u);
    if (expected.empty()) expected = r;
    double scale = 0;  // of the largest gradient: some are 0 but for rounding
    for (const Tensor& x : expected)
      for (double v : x.to_vector<double>()) scale = std::max(scale, std::fabs(v));
    for (size_t i = 0; i < r.size(); ++i)
      for (int64_t j = 0; j < r[i].numel(); ++j)
        ASSERT_NEAR(r[i].data<double>()[j], expected[i].data<double>()[j], 1e-10 * (1 + scale))
            << int(form) << ", " << i;
  }
}

TEST(AttentionForms, Costs) {
  for (AttentionForm form : {AttentionForm::gate, AttentionForm::retention}) {
    RmtConfig c = nn::rmt_config("rmt_t");
    c.attention = form;
    // g_proj: C^2 + C in each block, 1,092,992 in all.
    EXPECT_EQ(total(nn::cost(c, 224, 224)).parameters, 14'334'216 + 1'092'992);
    EXPECT_EQ(Rmt(c).parameter_count(), 15'427'208);
  }
  RmtConfig c = nn::rmt_config("rmt_s");
  const int64_t published = total(nn::cost(c, 224, 224)).attention_multiply_adds;
  c.attention = AttentionForm::gate;
  EXPECT_EQ(total(nn::cost(c, 224, 224)).attention_multiply_adds, published);
  c.attention = AttentionForm::retention;
  const auto of = [&](ops::RetentionForm form, int64_t chunk) {
    c.retention_form = form;
    c.retention_chunk = chunk;
    return total(nn::cost(c, 224, 224)).attention_multiply_adds;
  };
  // Sums over the blocks of L (L + 1) C, and of 2 L D C.
  int64_t pairs = 0, states = 0;
  for (auto [blocks, L, C, D] : {std::array<int64_t, 4>{3, 3136, 64, 16},
                                 {4, 784, 128, 32},
                                 {18, 196, 256, 32},
                                 {4, 49, 512, 32}}) {
    pairs += blocks * L * (L + 1) * C;
    states += blocks * 2 * L * D * C;
  }
  EXPECT_EQ(of(ops::RetentionForm::parallel, 49), pairs);
  EXPECT_EQ(of(ops::RetentionForm::recurrent, 49), states);
  // One chunk is the parallel form beside the state, chunks of 1 the recurrent form beside the
  // products of a token with itself; 4 are in between.
  EXPECT_EQ(of(ops::RetentionForm::chunkwise, 3136), pairs + states);
  EXPECT_GT(of(ops::RetentionForm::chunkwise, 1), states);
  EXPECT_LT(of(ops::RetentionForm::chunkwise, 1), of(ops::RetentionForm::chunkwise, 4));
  EXPECT_LT(of(ops::RetentionForm::chunkwise, 4), of(ops::RetentionForm::chunkwise, 49));
}

using AttentionFormsOnDevice = OnDevice;

// The whole model, forward and backward; its ops are proven one by one elsewhere.
TEST_F(AttentionFormsOnDevice, ModelsAreThoseOfTheCpu) {
  const Tensor images = randn({2, 32, 33, 3}, 5), u = randn({2, 7}, 6);
  for (AttentionForm form : {AttentionForm::gate, AttentionForm::retention}) {
    RmtConfig c = small(form);
    c.retention_chunk = 3;
    Rmt model(c), there(c);
    prepare(model);
    prepare(there);
    there.to(Device::cuda);
    const std::vector<Tensor> a = results(model, images, u),
                              b = results(there, on_device(images), on_device(u));
    double scale = 0;
    for (const Tensor& x : a)
      for (double v : x.to_vector<double>()) scale = std::max(scale, std::fabs(v));
    // In f64 both differ by the order of sums alone.
    for (size_t i = 0; i < a.size(); ++i)
      for (int64_t j = 0; j < a[i].numel(); ++j)
        ASSERT_NEAR(a[i].data<double>()[j], b[i].data<double>()[j], 1e-10 * (1 + scale))
            << int(form) << ", " << i;
  }
}

}  // namespace rmt::test
