// The bf16 kernels for tensor cores, on a GPU or its emulation: when they are taken, how exact
// they are.
#include "core/cuda/device.h"
#include "tests/ops/attention/attention_inputs.h"
#ifndef RMT_CUDA
#include "core/cuda/emulator/emulator.h"
#endif

namespace rmt::test {

using ops::Axis, ops::DecayMode, ops::ManhattanOptions;

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
        for (int64_t j = 0; j < in[0].numel(); ++j) in[i].data<double>()[j] *= 300;
      for (const Tensor& x : results(in, in[2], {2, Axis::both}, dtype, Device::cuda))
        for (double v : x.to(DType::f64).to_vector<double>())
          EXPECT_TRUE(std::isfinite(v)) << D << ", " << dtype;
    }
}

// A number that all scores of a query have in common leaves A as it is. Here 2^s overflows for even
// queries and vanishes for odd ones unless the maximum is taken off: q_i0 k_j0 = +-1024. Channel 0
// of dq and dk is not compared: a sum of dS, which is 0, times 32.
TEST(ManhattanAttention, ScoresWhosePowersOverflowOrVanish) {
  if (!cuda::available()) GTEST_SKIP();
  struct Case {
    int64_t H, W, D;
    Axis axis;
  };
  for (const Case& c : {Case{1, 56, 16, Axis::W},
                        {28, 1, 32, Axis::H},
                        {1, 14, 32, Axis::W},
                        {7, 7, 32, Axis::both},
                        {1, 33, 32, Axis::W},
                        {3, 15, 16, Axis::both}}) {
    std::vector<Tensor> in = inputs_for(1, c.H, c.W, 2, c.D, false);
    for (size_t i = 0; i < 3; ++i) in[i] = in[i].to(DType::bf16).to(DType::f64);
    for (int64_t i = 0; i < in[0].numel(); i += c.D) {
      in[0].data<double>()[i] = i / (2 * c.D) % 2 ? -32 : 32;
      in[1].data<double>()[i] = 32;
    }
    const Tensor u = randn(in[0].shape(), 99).to(DType::bf16).to(DType::f64);
    const ManhattanOptions o{2, c.axis};
    std::vector<Tensor> exact = results(in, u, o, DType::f64, Device::cpu);
    std::vector<Tensor> ours = results(in, u, o, DType::bf16, Device::cuda);
    for (size_t n = 0; n < 4; ++n) {
      ours[n] = ours[n].to(DType::f64);
      if (n == 1 || n == 2)
        for (int64_t i = 0; i < u.numel(); i += c.D)
          ours[n].data<double>()[i] = exact[n].data<double>()[i] = 0;
    }
    expect_close(ours, exact, 0x1p-9, str(c.H, " x ", c.W, ", D ", c.D));
  }
}

// To 16 bytes: elements 1 ... of a longer tensor.
TEST(ManhattanAttention, TensorsThatAreNotAligned) {
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
    Matrix y(rows * columns);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < inner; ++k)
          sum += a[a_t ? k * rows + i : i * inner + k] * b[b_t ? j * inner + k : k * columns + j];
        y[i * columns + j] = round(sum);
      }
    return y;
  }
  Matrix turned(const Matrix& x, const Tensor& table, double sign) const {
    Matrix y(x.size());
    for (size_t c = 0; c < x.size(); c += 2) {
      const double cosine = table.data<double>()[c], sine = sign * table.data<double>()[c + 1];
      y[c] = round(x[c] * cosine - x[c + 1] * sine);
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
    const Matrix q = turned(in[0].to_vector<double>(), in[4], 1);
    const Matrix k = turned(scaled(in[1].to_vector<double>()), in[4], 1);
    Matrix p = product(q, false, k, true, n, D, n), g = product(dy, false, v, true, n, D, n);
    Matrix rounded(p.size());
    const double decay = in[3].data<double>()[0];
    for (int64_t i = 0; i < n; ++i) {
      double *p_i = p.data() + i * n, *g_i = g.data() + i * n;
      double sum = 0, dot = 0;
      for (int64_t j = 0; j < n; ++j) sum += p_i[j] = std::exp(p_i[j] + decay * std::abs(i - j));
      for (int64_t j = 0; j < n; ++j) dot += (p_i[j] /= sum) * g_i[j];
      for (int64_t j = 0; j < n; ++j) {
        rounded[i * n + j] = round(p_i[j]);
        g_i[j] = round(p_i[j] * (g_i[j] - dot));
      }
    }
    const Matrix y = product(rounded, false, v, false, n, n, D);
    const Matrix dv = product(rounded, true, dy, false, n, n, D);
    const Matrix dq = turned(product(g, false, k, false, n, n, D), in[4], -1);
    const Matrix dk = scaled(turned(product(g, true, q, false, n, n, D), in[4], -1));
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
      const std::vector<Tensor> exact = results(in, u, o, DType::f64, Device::cpu);
      const std::vector<Tensor> autocast = Autocast{n, D}(in, u);
      const std::vector<Tensor> ours = results(in, u, o, DType::bf16, Device::cuda);
      // On average three quarters; never far above.
      for (size_t i = 0; i < 4; ++i)
        EXPECT_LE(relative_error(ours[i], exact[i]), 1.1 * relative_error(autocast[i], exact[i]))
            << "n " << n << ", D " << D << ", " << i;
    }
}

}  // namespace rmt::test
