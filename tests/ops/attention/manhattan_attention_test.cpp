#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#ifndef RMT_CUDA
#include "core/cuda/emulator/emulator.h"
#endif
#include "ops/attention/manhattan_attention.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

using ops::Axis, ops::DecayMode, ops::ManhattanOptions;

constexpr Axis kAxes[] = {Axis::W, Axis::H, Axis::both};
constexpr DecayMode kModes[] = {DecayMode::log_additive, DecayMode::post_multiply,
                                DecayMode::post_multiply_normalised};
constexpr double kEps32 = 0x1p-24, kEps64 = 0x1p-53;

struct Map {  // reads (B, H, W, C) tensors of doubles by position
  int64_t B, H, W, C, heads, D;
  Map(const Tensor& q, int64_t n)
      : B(q.dim(0)), H(q.dim(1)), W(q.dim(2)), C(q.dim(3)), heads(n), D(C / n) {}
  double at(const Tensor& x, int64_t b, int64_t position, int64_t channel) const {
    return x.data<double>()[(b * H * W + position) * C + channel];
  }
  // Channel j of a head's vector, turned by the angle of its position.
  double turned(const Tensor& x, const Tensor& rotary, int64_t b, int64_t position, int64_t head,
                int64_t j) const {
    const double self = at(x, b, position, head * D + j);
    if (!rotary.defined()) return self;
    const double *table = rotary.data<double>() + position * D,
                 other = at(x, b, position, head * D + (j ^ 1)), c = table[j & ~1],
                 s = table[j | 1];
    return self * c + (j % 2 ? other : -other) * s;
  }
};

// Row i of A: the weights of all H W positions (0 for those off the line).
std::vector<double> naive_row(Inputs in, const ManhattanOptions& o, int64_t b, int64_t head,
                              int64_t i) {
  const Tensor &q = in[0], &k = in[1], &decay = in[3], &rotary = in[4];
  const Map m(q, o.heads);
  const double slope = decay.defined() ? decay.data<double>()[head] : 0;
  std::vector<double> a(size_t(m.H * m.W)), factor(a.size(), 1);
  double most = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int pass = 0; pass < 3; ++pass)
    for (int64_t j = 0; j < m.H * m.W; ++j) {
      const int64_t dy = std::abs(i / m.W - j / m.W), dx = std::abs(i % m.W - j % m.W);
      if ((o.axis == Axis::W && dy > 0) || (o.axis == Axis::H && dx > 0)) continue;
      double& aj = a[size_t(j)];
      if (pass == 0) {
        for (int64_t c = 0; c < m.D; ++c)
          aj += m.turned(q, rotary, b, i, head, c) * m.turned(k, rotary, b, j, head, c) /
                std::sqrt(double(m.D));
        if (o.mode == DecayMode::log_additive)
          aj += slope * double(dx + dy);
        else
          factor[size_t(j)] = std::exp(slope * double(dx + dy));
        most = std::max(most, aj);
      } else if (pass == 1) {
        sum += aj = std::exp(aj - most);
      } else {
        aj *= factor[size_t(j)] / sum;
      }
    }
  if (o.mode == DecayMode::post_multiply_normalised) {
    double row = 0;
    for (double v : a) row += v;
    for (double& v : a) v /= row;
  }
  return a;
}

double naive_element(Inputs in, const std::vector<double>& row, const ManhattanOptions& o,
                     int64_t b, int64_t channel) {
  const Map m(in[0], o.heads);
  double y = 0;
  for (int64_t j = 0; j < m.H * m.W; ++j)
    if (row[size_t(j)] != 0) y += row[size_t(j)] * m.at(in[2], b, j, channel);
  return y;
}

std::vector<double> naive(Inputs in, const ManhattanOptions& o) {
  const Map m(in[0], o.heads);
  std::vector<double> y;
  for (int64_t b = 0; b < m.B; ++b)
    for (int64_t i = 0; i < m.H * m.W; ++i)
      for (int64_t head = 0; head < m.heads; ++head) {
        const std::vector<double> row = naive_row(in, o, b, head, i);
        for (int64_t c = 0; c < m.D; ++c) y.push_back(naive_element(in, row, o, b, head * m.D + c));
      }
  return y;
}

// cos(n angle), sin(n angle) with angle_j = 10000^(-j / (D / 2 - 1)), rounded to float so that both
// precisions see the same table.
Tensor table(int64_t H, int64_t W, int64_t D) {
  Tensor t = Tensor::empty({H * W, D}, DType::f64);
  for (int64_t n = 0; n < H * W; ++n)
    for (int64_t j = 0; j < D; ++j) {
      const double angle =
          double(n) * std::pow(10000, D > 2 ? -double(j / 2) / double(D / 2 - 1) : 0);
      t.data<double>()[n * D + j] = float(j % 2 ? std::sin(angle) : std::cos(angle));
    }
  return t;
}

// log(1 - 2^(-2 - 3 i / heads)): the reference's decays, -0.29 for the first head
Tensor decays(int64_t heads) {
  Tensor d = Tensor::empty({heads}, DType::f64);
  for (int64_t i = 0; i < heads; ++i)
    d.data<double>()[i] = float(std::log1p(-std::exp2(-2 - 3 * double(i) / double(heads))));
  return d;
}

std::vector<Tensor> inputs_for(int64_t B, int64_t H, int64_t W, int64_t heads, int64_t D,
                               bool rotary = true) {
  const Shape shape{B, H, W, heads * D};
  return {randn(shape, 1), randn(shape, 2), randn(shape, 3), decays(heads),
          rotary ? table(H, W, D) : Tensor()};
}

Tensor attend(Inputs in, const ManhattanOptions& o) {
  return ops::manhattan_attention(in[0], in[1], in[2], in[3], in[4], o);
}

std::vector<Tensor> to(Inputs in, DType dtype) {
  std::vector<Tensor> out;
  for (const Tensor& x : in) out.push_back(x.defined() ? x.to(dtype) : x);
  return out;
}

void expect_near(const Tensor& a, const Tensor& b, double tolerance, const std::string& what) {
  ASSERT_EQ(a.shape(), b.shape()) << what;
  const std::vector<double> x = a.to(DType::f64).to_vector<double>(),
                            y = b.to(DType::f64).to_vector<double>();
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_NEAR(x[i], y[i], tolerance) << what << ", element " << i;
}

std::string name_of(const ManhattanOptions& o) {
  return str("axis ",
             o.axis == Axis::W   ? "W"
             : o.axis == Axis::H ? "H"
                                 : "both",
             ", mode ", int(o.mode), ", heads ", o.heads);
}

void check(int64_t B, int64_t H, int64_t W, int64_t heads, int64_t D, bool rotary, bool decay,
           const ManhattanOptions& o, int64_t probes = 20, bool on_gpu = true) {
  std::vector<Tensor> in = inputs_for(B, H, W, heads, D, rotary);
  if (!decay) in[3] = Tensor();
  CheckOptions c;
  c.reference = [&](Inputs x) { return naive(x, o); };
  c.differentiable = {true, true, true, false, false};
  c.parameters = {false, false, false, true, true};
  // A score is a sum of D products, up to about 5 here, and moves its weight e^S by its own
  // rounding: |S| + sqrt D roundings. The gradients of q and k are differences, dS = A (dA - sum A
  // dA), a few times smaller than the terms that they are made of.
  c.f32_tolerance = 64 * kEps32;
  // On tensor cores q', k', P and dS are rounded to bf16: four errors as large as the result's own,
  // seen through sums of many.
  if (D == 16 || D == 32) c.bf16_tolerance = 0x1p-9;
  c.may_be_zero = true;  // a line of one position has no gradient of scores; that all is not zero
                         // is seen by the definition and the differences
  c.max_probes = probes;
  c.on_gpu = on_gpu;
  const std::string name = str("manhattan_attention (", B, ", ", H, ", ", W, ", ", heads * D, "), ",
                               name_of(o), rotary ? ", rotary" : "", decay ? ", decay" : "");
  check_op(
      name, [&](Inputs x) { return attend(x, o); }, in, c);
}

}  // namespace

TEST(ManhattanAttention, Op) {
  struct Case {
    int64_t B, H, W, heads, D;
    bool rotary, decay;
  };
  int number = 0;  // of the case: an emulated GPU has time for a third of the nine kinds of each,
                   // another third each time
  for (Case c : {Case{1, 1, 1, 1, 2, true, true},
                 {2, 5, 7, 2, 4, true, true},
                 {1, 2, 13, 1, 16, true, true},
                 {1, 13, 2, 3, 6, true, true},
                 {1, 7, 5, 1, 32, true, false},
                 {2, 1, 7, 2, 10, true, true},
                 {1, 13, 1, 1, 33, false, true},
                 {1, 7, 7, 2, 1, false, true},
                 {1, 5, 13, 2, 18, false, false},
                 {0, 5, 7, 2, 4, true, true},
                 {1, 0, 7, 2, 4, true, true},
                 {3, 2, 1, 1, 17, false, true}}) {
    for (Axis axis : kAxes)
      for (DecayMode mode : kModes)
        check(c.B, c.H, c.W, c.heads, c.D, c.rotary, c.decay, {c.heads, axis, mode}, 20,
              (number + int(axis) + int(mode)) % 3 == 0);
    ++number;
  }
}

TEST(ManhattanAttention, LinesOfSeveralBlocksOfQueries) {
  for (DecayMode mode : kModes) {
    check(1, 13, 15, 1, 8, true, true, {1, Axis::both, mode}, 12, mode == DecayMode::post_multiply);
    check(1, 1, 77, 1, 16, true, true, {1, Axis::W, mode}, 12, mode == DecayMode::log_additive);
    check(1, 66, 1, 2, 6, true, true, {2, Axis::H, mode}, 12,
          mode == DecayMode::post_multiply_normalised);
  }
}

// The definition at a few queries only. In f32 the sums over 4200 keys add about sqrt(4200) = 65
// roundings to those of the scores.
TEST(ManhattanAttention, FullAttentionOverThousandsOfPositions) {
  const ManhattanOptions o{1, Axis::both};
  std::vector<Tensor> in = inputs_for(1, 60, 70, 1, 16);
  Tensor y = attend(in, o), y32 = attend(to(in, DType::f32), o);
  for (int64_t i : {0, 63, 64, 2099, 4199}) {
    const std::vector<double> row = naive_row(in, o, 0, 0, i);
    for (int64_t c = 0; c < 16; ++c)
      EXPECT_NEAR(y.data<double>()[i * 16 + c], naive_element(in, row, o, 0, c), 1e-12)
          << i << ", " << c;
  }
  EXPECT_LE(relative_error(y32, y), (64 + 65) * kEps32);
}

// Each entry of A is off by the rounding of its exponent (|S| + |decay d| up to 15, a few roundings
// each) and of a handful of operations.
TEST(ManhattanAttention, NormalisedPostMultiplyIsLogAdditive) {
  for (Axis axis : kAxes)
    for (DType dtype : {DType::f64, DType::f32}) {
      std::vector<Tensor> in = to(inputs_for(2, 13, 11, 3, 16), dtype);
      Tensor u = randn(in[0].shape(), 7).to(dtype);
      std::vector<Tensor> results;
      for (DecayMode mode : {DecayMode::log_additive, DecayMode::post_multiply_normalised}) {
        std::vector<Tensor> x = in;
        for (size_t i = 0; i < 3; ++i) x[i] = leaf(in[i]);
        Tensor y = attend(x, {3, axis, mode});
        backward(y, u);
        results.push_back(y.detach());
        for (size_t i = 0; i < 3; ++i) results.push_back(grad(x[i]));
      }
      for (size_t i = 0; i < 4; ++i)
        EXPECT_LE(relative_error(results[i + 4], results[i]),
                  64 * (dtype == DType::f64 ? kEps64 : kEps32))
            << i;
    }
}

TEST(ManhattanAttention, WithoutDecayAllModesAreVanillaAttention) {
  for (Axis axis : kAxes) {
    std::vector<Tensor> in = inputs_for(1, 7, 9, 2, 8), none = in, zero = in;
    none[3] = Tensor();
    zero[3] = Tensor::zeros({2}, DType::f64);
    Tensor vanilla = attend(none, {2, axis, DecayMode::log_additive});
    for (DecayMode mode : kModes)
      expect_near(attend(zero, {2, axis, mode}), vanilla, 32 * kEps64, name_of({2, axis, mode}));
    EXPECT_GT(relative_error(attend(in, {2, axis, DecayMode::log_additive}), vanilla),
              0.01);  // and with decay they are not
  }
}

TEST(ManhattanAttention, RowSums) {  // of A, by attending to v = 1: 1 for the normalised modes,
                                     // less for the paper's product
  for (Axis axis : kAxes) {
    std::vector<Tensor> in = inputs_for(2, 6, 5, 2, 8);
    in[2] = Tensor::full(in[2].shape(), 1, DType::f64);
    for (DecayMode mode : {DecayMode::log_additive, DecayMode::post_multiply_normalised})
      expect_near(attend(in, {2, axis, mode}), in[2], 32 * kEps64, name_of({2, axis, mode}));
    for (double v : attend(in, {2, axis, DecayMode::post_multiply}).to_vector<double>()) {
      EXPECT_LT(v, 1);
      EXPECT_GT(v, 0);
    }
  }
}

TEST(ManhattanAttention,
     OneRowOrColumnDecomposedIsFull) {  // a line of one position has weight 1: the other pass
                                        // changes nothing, bit for bit
  for (DecayMode mode :
       {DecayMode::log_additive, DecayMode::post_multiply, DecayMode::post_multiply_normalised})
    for (bool row : {true, false}) {
      std::vector<Tensor> in = row ? inputs_for(2, 1, 13, 2, 6) : inputs_for(2, 13, 1, 2, 6),
                          second = in;
      Tensor full = attend(in, {2, Axis::both, mode});
      second[2] = attend(in, {2, Axis::W, mode});
      Tensor decomposed = attend(second, {2, Axis::H, mode});
      expect_near(decomposed, full, 8 * kEps64, str("mode ", int(mode)));
      expect_near(row ? decomposed : second[2], row ? second[2] : in[2], 0, "identity");
    }
}

TEST(ManhattanAttention, ScoresDependOnTheDifferenceOfPositionsOnly) {
  // The same row in every row of the map gives the same result in each, though the angles of row y
  // are those of x + y W; columns likewise. The table is exact to 2^-53 (not rounded to float,
  // which would show), so scores differ by D roundings or so.
  const int64_t H = 9, W = 11, heads = 2, D = 16;
  Tensor exact = Tensor::empty({H * W, D}, DType::f64);
  for (int64_t n = 0; n < H * W; ++n)
    for (int64_t j = 0; j < D; ++j) {
      const double angle = double(n) * std::pow(10000, -double(j / 2) / double(D / 2 - 1));
      exact.data<double>()[n * D + j] = j % 2 ? std::sin(angle) : std::cos(angle);
    }
  for (Axis axis : {Axis::W, Axis::H}) {
    std::vector<Tensor> in = inputs_for(1, H, W, heads, D);
    in[4] = exact;
    auto first = [&](int64_t n) {
      return axis == Axis::W ? n % W : n / W * W;
    };  // the position of n's copy in the first row or column
    auto copied = [&](const Tensor& x) {
      Tensor y = x.clone();
      for (int64_t n = 0; n < H * W; ++n)
        for (int64_t c = 0; c < heads * D; ++c)
          y.data<double>()[n * heads * D + c] = x.data<double>()[first(n) * heads * D + c];
      return y;
    };
    for (size_t i = 0; i < 3; ++i) in[i] = copied(in[i]);
    Tensor y = attend(in, {heads, axis});
    expect_near(y, copied(y), 1e-13,
                name_of({heads, axis}));  // angles n theta up to 100 carry an error of 100 * 2^-53
  }
}

TEST(ManhattanAttention, HugeScoresAndSteepDecayStayFinite) {
  for (DType dtype : {DType::f32, DType::f64})
    for (DecayMode mode : kModes) {
      std::vector<Tensor> in = inputs_for(1, 5, 6, 2, 8);
      for (int i = 0; i < 2; ++i)
        for (int64_t j = 0; j < in[0].numel(); ++j)
          in[size_t(i)].data<double>()[j] *= 300;  // scores of 10^5
      std::vector<Tensor> x = to(in, dtype);
      for (double v : attend(x, {2, Axis::both, mode}).to(DType::f64).to_vector<double>())
        EXPECT_TRUE(std::isfinite(v)) << int(mode);
      in = inputs_for(1, 5, 6, 2, 8);
      in[3].fill(-60);  // a neighbour weighs e^-60: everybody attends to himself
      if (mode == DecayMode::post_multiply) continue;
      expect_near(attend(to(in, dtype), {2, Axis::both, mode}), in[2].to(dtype),
                  4 * (dtype == DType::f64 ? kEps64 : kEps32) * 5, "identity");
    }
}

// y and the gradients of q, k, v, on `device` with q, k, v and dy = u in dtype
std::vector<Tensor> results(Inputs in, const Tensor& u, const ManhattanOptions& o, DType dtype,
                            Device device) {
  std::vector<Tensor> x;
  for (size_t i = 0; i < in.size(); ++i) {
    if (!in[i].defined()) {
      x.emplace_back();
      continue;
    }
    const Tensor here = in[i].to(i < 3 ? dtype : wide(dtype)).to(device);
    x.push_back(i < 3 ? leaf(here) : here);
  }
  Tensor y = attend(x, o);
  backward(y, u.to(dtype).to(device));
  return {y.detach().to(Device::cpu), grad(x[0]).to(Device::cpu), grad(x[1]).to(Device::cpu),
          grad(x[2]).to(Device::cpu)};
}

// ||x - exact|| / ||exact|| of the four results
void expect_close(const std::vector<Tensor>& x, const std::vector<Tensor>& exact, double tolerance,
                  const std::string& what) {
  for (size_t i = 0; i < 4; ++i)
    EXPECT_LE(relative_error(x[i], exact[i]),
              2 * relative_error(exact[i].to(DType::bf16), exact[i]) + tolerance)
        << what << ", result " << i;
}

// bf16 heads of 16 or 32 channels in lines of up to 256 positions are for the tensor cores, unless
// rows of A have other sums than 1; the rest is for the general kernels, which launch two for the
// gradients.
TEST(ManhattanAttention, TensorCores) {
  if (!cuda::available()) GTEST_SKIP();
  struct Case {
    int64_t H, W, heads, D;
    Axis axis;
    bool tensor_cores = true, rotary = true, decay = true;
    DecayMode mode = DecayMode::log_additive;
  };
  for (const Case& c :
       {Case{2, 7, 3, 32, Axis::W},
        {14, 5, 2, 32, Axis::H},
        {3, 16, 1, 16, Axis::W},
        {28, 2, 3, 16, Axis::H},
        {2, 28, 2, 32, Axis::W, true, false},
        {1, 33, 3, 32, Axis::W},
        {49, 1, 1, 16, Axis::H, true, true, false},
        {1, 56, 2, 16, Axis::W},
        {64, 1, 1, 32, Axis::H},
        {7, 7, 3, 32, Axis::both},
        {4, 4, 5, 16, Axis::both},
        {14, 14, 1, 32, Axis::both},
        {5, 13, 2, 16, Axis::both, true, true, true, DecayMode::post_multiply_normalised},
        {1, 256, 1, 16, Axis::W},
        {257, 1, 1, 16, Axis::H, false},
        {1, 9, 1, 24, Axis::W, false},
        {1, 9, 1, 48, Axis::W, false},
        {1, 9, 1, 16, Axis::W, false, true, true, DecayMode::post_multiply}}) {
    const ManhattanOptions o{c.heads, c.axis, c.mode};
    std::vector<Tensor> in = inputs_for(c.H * c.W < 100 ? 2 : 1, c.H, c.W, c.heads, c.D, c.rotary);
    if (!c.decay) in[3] = Tensor();
    for (size_t i = 0; i < 3; ++i) in[i] = in[i].to(DType::bf16).to(DType::f64);
    const Tensor u = randn(in[0].shape(), 99).to(DType::bf16).to(DType::f64);
    const std::vector<Tensor> exact = results(in, u, o, DType::f64, Device::cpu);
    const std::string name = str(c.H, " x ", c.W, ", D ", c.D, ", ", name_of(o));
    std::vector<std::vector<Tensor>> r;
    for_thread_orders([&] {
#ifndef RMT_CUDA
      const int64_t before = emulator::counters().launches;
#endif
      r.push_back(results(in, u, o, DType::bf16, Device::cuda));
#ifndef RMT_CUDA
      EXPECT_EQ(emulator::counters().launches - before, c.tensor_cores ? 2 : 3) << name;
#endif
    });
    expect_close(r[0], exact, 0x1p-9, name);
    for (const std::vector<Tensor>& other : r)
      for (size_t i = 0; i < 4; ++i) expect_near(other[i], r[0][i], 0, name);
  }
}

TEST(ManhattanAttention, HugeScoresStayFiniteOnTheGpu) {
  if (!cuda::available()) GTEST_SKIP();
  for (int64_t D : {8, 16})
    for (DType dtype : {DType::f32, DType::bf16}) {
      std::vector<Tensor> in = inputs_for(1, 5, 6, 2, D);
      for (int i = 0; i < 2; ++i)
        for (int64_t j = 0; j < in[0].numel(); ++j) in[size_t(i)].data<double>()[j] *= 300;
      for (const Tensor& x : results(in, in[2], {2, Axis::both}, dtype, Device::cuda))
        for (double v : x.to(DType::f64).to_vector<double>())
          EXPECT_TRUE(std::isfinite(v)) << D << ", " << dtype;
    }
}

TEST(ManhattanAttention,
     TensorsThatAreNotAligned) {  // to 16 bytes: elements 1 ... of a longer tensor
  if (!cuda::available()) GTEST_SKIP();
  std::vector<Tensor> in = inputs_for(1, 3, 5, 2, 16), x;
  for (size_t i = 0; i < in.size(); ++i) {
    const int64_t n = in[i].numel();
    Tensor longer = Tensor::zeros({n + 1}, DType::f64);
    for (int64_t j = 0; j < n; ++j) longer.data<double>()[j + 1] = in[i].data<double>()[j];
    x.push_back(longer.to(i < 3 ? DType::bf16 : DType::f32)
                    .to(Device::cuda)
                    .slice(1, n + 1)
                    .view(in[i].shape()));
  }
  for (Axis axis : kAxes)
    EXPECT_LE(relative_error(attend(x, {2, axis}).to(Device::cpu), attend(in, {2, axis})), 0x1p-7)
        << name_of({2, axis});
}

// What PyTorch's autocast makes of one head of one row: y, dq, dk, dv. Every product of matrices
// takes and returns bf16; rotary, decay and softmax are f32, which is exact here. x_i D^-1/2 is
// rounded, too.
struct Autocast {
  int64_t n, D;
  using Matrix = std::vector<double>;
  static double round(double x) { return float(bf16(float(x))); }

  // rounded a b for a (rows, inner) and b (inner, columns), either transposed
  static Matrix product(const Matrix& a, bool a_t, const Matrix& b, bool b_t, int64_t rows,
                        int64_t inner, int64_t columns) {
    Matrix y(size_t(rows * columns));
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < inner; ++k)
          sum += a[size_t(a_t ? k * rows + i : i * inner + k)] *
                 b[size_t(b_t ? j * inner + k : k * columns + j)];
        y[size_t(i * columns + j)] = round(sum);
      }
    return y;
  }
  Matrix turned(const Matrix& x, const Tensor& table, double sign) const {
    Matrix y(x.size());
    for (size_t c = 0; c < x.size(); c += 2) {
      const double cosine = table.data<double>()[c], sine = sign * table.data<double>()[c + 1];
      y[c] = round(x[c] * cosine - x[c + 1] * sine),
      y[c + 1] = round(x[c + 1] * cosine + x[c] * sine);
    }
    return y;
  }
  Matrix scaled(Matrix x) const {
    for (double& v : x) v = round(v / std::sqrt(double(D)));
    return x;
  }

  std::vector<Tensor> operator()(Inputs in, const Tensor& u) const {
    const Matrix dy = u.to_vector<double>(), v = in[2].to_vector<double>();
    const Matrix q = turned(in[0].to_vector<double>(), in[4], 1),
                 k = turned(scaled(in[1].to_vector<double>()), in[4], 1);
    Matrix p = product(q, false, k, true, n, D, n), rounded(p.size()),
           g = product(dy, false, v, true, n, D, n);
    for (int64_t i = 0; i < n; ++i) {
      double sum = 0, dot = 0;
      for (int64_t j = 0; j < n; ++j)
        sum += p[size_t(i * n + j)] =
            std::exp(p[size_t(i * n + j)] + in[3].data<double>()[0] * double(std::abs(i - j)));
      for (int64_t j = 0; j < n; ++j) dot += (p[size_t(i * n + j)] /= sum) * g[size_t(i * n + j)];
      for (size_t j = size_t(i * n); j < size_t((i + 1) * n); ++j)
        rounded[j] = round(p[j]), g[j] = round(p[j] * (g[j] - dot));
    }
    const Matrix y = product(rounded, false, v, false, n, n, D),
                 dv = product(rounded, true, dy, false, n, n, D);
    const Matrix dq = turned(product(g, false, k, false, n, n, D), in[4], -1),
                 dk = scaled(turned(product(g, true, q, false, n, n, D), in[4], -1));
    std::vector<Tensor> out;
    for (const Matrix* m : {&y, &dq, &dk, &dv}) {
      out.push_back(Tensor::empty(in[0].shape(), DType::f64));
      std::copy(m->begin(), m->end(), out.back().data<double>());
    }
    return out;
  }
};

TEST(ManhattanAttention, AsExactAsAutocast) {
  if (!cuda::available()) GTEST_SKIP();
  for (int64_t D : {16, 32})
    for (int64_t n : {7, 14, 28, 49, 56}) {
      std::vector<Tensor> in = inputs_for(1, 1, n, 1, D);
      for (size_t i = 0; i < 3; ++i) in[i] = in[i].to(DType::bf16).to(DType::f64);
      const Tensor u = randn(in[0].shape(), 99).to(DType::bf16).to(DType::f64);
      const ManhattanOptions o{1, Axis::W};
      const std::vector<Tensor> exact = results(in, u, o, DType::f64, Device::cpu),
                                autocast = Autocast{n, D}(in, u);
      const std::vector<Tensor> ours = results(in, u, o, DType::bf16, Device::cuda);
      for (size_t i = 0; i < 4; ++i)  // on average three quarters; never far above
        EXPECT_LE(relative_error(ours[i], exact[i]), 1.1 * relative_error(autocast[i], exact[i]))
            << "n " << n << ", D " << D << ", " << i;
    }
}

TEST(ManhattanAttention, Errors) {
  Tensor x = Tensor::zeros({2, 3, 5, 8}), none;
  auto call = [](const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& decay,
                 const Tensor& rotary, int64_t heads) {
    return [=] { ops::manhattan_attention(q, k, v, decay, rotary, {heads}); };
  };
  expect_error(call({}, x, x, none, none, 2), {"manhattan_attention", "q"});
  expect_error(call(Tensor::zeros({3, 5, 8}), x, x, none, none, 2),
               {"manhattan_attention", "q is (3, 5, 8)", "(B, H, W, C)"});
  expect_error(call(x, Tensor::zeros({2, 3, 4, 8}), x, none, none, 2),
               {"k is f32 (2, 3, 4, 8)", "(2, 3, 5, 8)"});
  expect_error(call(x, x, Tensor::zeros({2, 3, 5, 8}, DType::f64), none, none, 2),
               {"v is f64", "f32"});
  expect_error(call(x, x, x, none, none, 3), {"8 channels", "3 heads"});
  expect_error(call(x, x, x, none, none, 0), {"0 heads"});
  expect_error(call(x, x, x, Tensor::zeros({4}), none, 2), {"decay is f32 (4)", "(2)"});
  expect_error(call(x, x, x, leaf(Tensor::zeros({2})), none, 2),
               {"decay has no gradient", "detach"});
  expect_error(call(x, x, x, none, Tensor::zeros({15, 8}), 2),
               {"rotary is f32 (15, 8)", "(15, 4)"});
  expect_error(call(x, x, x, none, Tensor::zeros({15, 1}), 8), {"pairs", "1"});
}

}  // namespace rmt::test
