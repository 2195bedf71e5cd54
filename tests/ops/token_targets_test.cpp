// The targets of token labels: against a slow definition that takes the dense maps one sample after
// the other, and against what the published code computed (tests/golden/, see
// make_token_targets_golden.py).
#include "ops/token_targets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/cuda/device.h"
#include "core/cuda/graph.h"
#include "core/parallel.h"
#include "tests/check_op.h"
#include "train/weights/safetensors.h"

namespace rmt::test {
namespace {

// A teacher's maps, crops, and what is asked for.
struct Case {
  Shape maps;  // (B, h, w, T)
  int64_t K, rows, columns;
  double smoothing = 0.1;
  Tensor values = {}, classes = {}, boxes = {};

  Tensor run(Device device = Device::cpu, DType dtype = DType::f64, const Tensor& mix = {}) const {
    return ops::token_targets(values.to(device), classes.to(device), boxes.to(device), K, rows,
                              columns, smoothing, dtype, mix.defined() ? mix.to(device) : mix);
  }
};

// The whole map, one that is smaller than a cell, an empty one on the map's corner, one that
// reaches over the map, and some more.
constexpr double kBoxes[][4] = {{0, 0, 1, 1},           {0.41, 0.32, 0.43, 0.33}, {1, 1, 1, 1},
                                {-0.6, -0.3, 1.3, 1.7}, {0.13, 0.29, 0.9, 0.71},  {0.5, 0, 1, 0.4}};

// T different classes for each cell, since 37 and K have no common divisor or T is 1; logits from
// N(2, 3^2), so that some are below the 0 of all others.
Case filled(Case c) {
  c.values = randn(c.maps, 7, 2, 3).to(DType::f32);
  c.classes = Tensor::empty(c.maps, DType::i32);
  const int64_t T = c.maps[3];
  for (int64_t i = 0; i < c.classes.numel(); ++i) {
    const int64_t cell = i / T, t = i % T;
    c.classes.data<int32_t>()[i] = int32_t((cell * cell + 5 + 37 * t) % c.K);
  }
  c.boxes = Tensor::empty({c.maps[0], 4}, DType::f64);
  for (int64_t i = 0; i < c.boxes.numel(); ++i)
    c.boxes.data<double>()[i] = kBoxes[i / 4 % std::size(kBoxes)][i % 4];
  return c;
}

std::vector<Case> cases() {
  return {filled({{5, 11, 9, 5}, 57, 4, 3}),    filled({{6, 6, 7, 5}, 1000, 3, 5}),
          filled({{3, 13, 5, 1}, 7, 2, 13, 0}), filled({{2, 11, 10, 5}, 57, 1, 1}),
          filled({{2, 1, 1, 5}, 5, 2, 2}),      filled({{1, 1, 7, 1}, 1, 1, 1}),
          filled({{7, 4, 3, 2}, 13, 1, 4, 0.5})};
}

// The dense map of class k of one image, at (y, x) in cells, as RoIAlign reads it.
double sample(const Case& c, int64_t image, int64_t k, double y, double x) {
  const int64_t h = c.maps[1], w = c.maps[2], T = c.maps[3];
  if (y < -1 || y > double(h) || x < -1 || x > double(w)) return 0;
  auto at = [&](int64_t i, int64_t j) {
    double d = 0;
    for (int64_t t = 0; t < T; ++t) {
      const int64_t entry = ((image * h + i) * w + j) * T + t;
      if (c.classes.data<int32_t>()[entry] == k) d += double(c.values.data<float>()[entry]);
    }
    return d;
  };
  y = std::max(y, 0.0);
  x = std::max(x, 0.0);
  const int64_t i = std::min(int64_t(y), h - 1), j = std::min(int64_t(x), w - 1),
                below = std::min(i + 1, h - 1), right = std::min(j + 1, w - 1);
  const double fy = i == h - 1 ? 0 : y - double(i), fx = j == w - 1 ? 0 : x - double(j);
  return (1 - fy) * ((1 - fx) * at(i, j) + fx * at(i, right)) +
         fy * ((1 - fx) * at(below, j) + fx * at(below, right));
}

// One cell of the target, (K).
std::vector<double> naive_cell(const Case& c, int64_t image, int64_t r, int64_t s) {
  const double *box = c.boxes.data<double>() + 4 * image, h = double(c.maps[1]),
               w = double(c.maps[2]), K = double(c.K), e = c.smoothing;
  const double left = box[0] * w - 0.5, top = box[1] * h - 0.5,
               bin_w = std::max(box[2] * w - 0.5 - left, 1.0) / double(c.columns),
               bin_h = std::max(box[3] * h - 0.5 - top, 1.0) / double(c.rows);
  const int64_t samples_x = int64_t(std::ceil(bin_w)), samples_y = int64_t(std::ceil(bin_h));
  std::vector<double> z, target;
  double sum = 0;
  for (int64_t k = 0; k < c.K; ++k) {
    double total = 0;
    for (int64_t m = 0; m < samples_y; ++m)
      for (int64_t n = 0; n < samples_x; ++n)
        total +=
            sample(c, image, k, top + bin_h * (double(r) + (double(m) + 0.5) / double(samples_y)),
                   left + bin_w * (double(s) + (double(n) + 0.5) / double(samples_x)));
    z.push_back(total / double(samples_x * samples_y));
    sum += std::exp(z.back());
  }
  for (double z_k : z) target.push_back(std::exp(z_k) / sum * (1 - e + e / K) + e / K);
  return target;
}

std::vector<double> naive(const Case& c) {
  std::vector<double> all;
  for (int64_t b = 0; b < c.maps[0]; ++b)
    for (int64_t r = 0; r < c.rows; ++r)
      for (int64_t s = 0; s < c.columns; ++s)
        for (double t : naive_cell(c, b, r, s)) all.push_back(t);
  return all;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device::cpu), y = b.to(Device::cpu);
  return x.dtype() == y.dtype() && x.shape() == y.shape() &&
         std::memcmp(x.raw(), y.raw(), x.nbytes()) == 0;
}

std::vector<double> numbers(const Tensor& t) {
  return t.to(Device::cpu).to(DType::f64).to_vector<double>();
}

// Both sides are computed in f64, a z with up to 1620 terms of about 10 / 1620, a sum of exps with
// up to 1000: a rounding is 1e-16 of each, and 1e-12 is room for all of them. f32 is rounded once
// more, and a mixture twice.
double tolerance(DType dtype, double expected, int roundings = 1) {
  return 1e-12 + (dtype == DType::f32 ? roundings * 0x1p-24 * expected : 0);
}

void expect_numbers(const Tensor& t, const std::vector<double>& expected, int roundings = 1) {
  const std::vector<double> got = numbers(t);
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], tolerance(t.dtype(), expected[i], roundings))
        << "element " << i << " of " << t.shape() << " in " << t.dtype() << " on " << t.device();
}

Tensor mix_of(double lambda) { return Tensor::from<double>({0.5, lambda, 1, 2, 3, 4}, {6}); }

std::vector<Device> devices() {
  std::vector<Device> all{Device::cpu};
  if (cuda::available()) all.push_back(Device::cuda);
  return all;
}

}  // namespace

TEST(TokenTargets, EqualTheDefinition) {
  for (const Case& c : cases()) {
    const std::vector<double> expected = naive(c);
    for (DType dtype : {DType::f64, DType::f32})
      expect_numbers(c.run(Device::cpu, dtype), expected);
  }
}

TEST(TokenTargets, KernelsEqualTheDefinitionInEveryOrderOfThreads) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  for (const Case& c : cases()) {
    const std::vector<double> expected = naive(c);
    for (DType dtype : {DType::f64, DType::f32})
      for (const Tensor& mix : {Tensor(), mix_of(0.3)}) {
        std::vector<Tensor> runs;
        for_thread_orders([&] { runs.push_back(c.run(Device::cuda, dtype, mix)); });
        for (const Tensor& t : runs) EXPECT_TRUE(same_bits(t, runs[0])) << t.shape();
        if (mix.defined())
          expect_numbers(runs[0], numbers(c.run(Device::cpu, DType::f64, mix)), 2);
        else
          expect_numbers(runs[0], expected);
      }
  }
}

TEST(TokenTargets, TheSameBitsForAnyNumberOfThreads) {
  const int before = threads();
  for (const Case& c : cases())
    for (const Tensor& mix : {Tensor(), mix_of(0.3)}) {
      set_threads(1);
      const Tensor one = c.run(Device::cpu, DType::f32, mix);
      for (int n : {2, 3}) {
        set_threads(n);
        EXPECT_TRUE(same_bits(c.run(Device::cpu, DType::f32, mix), one)) << one.shape();
      }
    }
  set_threads(before);
}

// lambda t_b + (1 - lambda) t_b' with b' = B - 1 - b, also for an odd batch, whose middle is its
// own partner. Rows sum to 1 + e / K: of K terms, each rounded.
TEST(TokenTargets, OfMixedImages) {
  for (const Case& c : cases()) {
    const std::vector<double> plain = numbers(c.run());
    const int64_t B = c.maps[0], size = c.rows * c.columns * c.K;
    for (double lambda : {0.0, 0.3, 1.0}) {
      std::vector<double> expected;
      for (int64_t b = 0; b < B; ++b)
        for (int64_t i = 0; i < size; ++i)
          expected.push_back(lambda * plain[size_t(b * size + i)] +
                             (1 - lambda) * plain[size_t((B - 1 - b) * size + i)]);
      for (DType dtype : {DType::f64, DType::f32})
        expect_numbers(c.run(Device::cpu, dtype, mix_of(lambda)), expected, 2);
      const std::vector<double> got = numbers(c.run(Device::cpu, DType::f64, mix_of(lambda)));
      for (int64_t row = 0; row < B * c.rows * c.columns; ++row) {
        double sum = 0;
        for (int64_t k = 0; k < c.K; ++k) sum += got[size_t(row * c.K + k)];
        ASSERT_NEAR(sum, 1 + c.smoothing / double(c.K), 1e-12);
      }
    }
    EXPECT_TRUE(
        same_bits(c.run(Device::cpu, DType::f32, mix_of(1)), c.run(Device::cpu, DType::f32)));
  }
}

// exp passes the largest double at 709.8: neither large logits nor small ones, beside classes of 0
// or without any, become inf or nan. All four cells have the same two classes and one logit, which
// is their z.
TEST(TokenTargets, LogitsOfAnySize) {
  for (Device device : devices())
    for (float logit : {1e4f, -1e4f, 1e30f, -1e30f})
      for (int64_t K : {2, 3}) {
        Case c{{1, 2, 2, 2}, K, 1, 1, 0};
        c.values = Tensor::full(c.maps, double(logit));
        c.classes = Tensor::from<int32_t>({0, 1, 0, 1, 1, 0, 1, 0}, c.maps);
        c.boxes = Tensor::from<double>({0, 0, 1, 1}, {1, 4});
        // Without a third class both have 1/2; a third has all or nothing.
        std::vector<double> expected{0.5, 0.5};
        if (K == 3) expected = logit > 0 ? std::vector{0.5, 0.5, 0.} : std::vector{0., 0., 1.};
        expect_numbers(c.run(device), expected);
      }
}

// A class that stands twice in a cell has the sum of its logits.
TEST(TokenTargets, AClassThatStandsTwice) {
  Case twice{{1, 1, 1, 2}, 3, 1, 1}, once{{1, 1, 1, 1}, 3, 1, 1};
  twice.boxes = once.boxes = Tensor::from<double>({0, 0, 1, 1}, {1, 4});
  twice.values = Tensor::from<float>({0.5f, 1.25f}, twice.maps);
  twice.classes = Tensor::from<int32_t>({2, 2}, twice.maps);
  once.values = Tensor::from<float>({1.75f}, once.maps);
  once.classes = Tensor::from<int32_t>({2}, once.maps);
  for (Device device : devices()) expect_numbers(twice.run(device), numbers(once.run()));
}

TEST(TokenTargets, EqualThePublishedOnes) {
  const train::Archive golden = train::read_safetensors("tests/golden/token_targets.safetensors");
  for (int64_t S : {18, 6}) {
    const Tensor& values = golden.at(str("values_", S));  // (2, S, S, 5), five boxes for each map
    Case c{{10, S, S, 5}, 50, 7, 7};
    c.values = Tensor::empty(c.maps);
    c.classes = Tensor::empty(c.maps, DType::i32);
    for (int64_t b = 0; b < 10; ++b) {
      c.values.slice(b, b + 1).copy_from(values.slice(b / 5, b / 5 + 1));
      c.classes.slice(b, b + 1).copy_from(golden.at(str("classes_", S)).slice(b / 5, b / 5 + 1));
    }
    for (const std::string order : {"correct", "upstream", "correct_mixed"}) {
      c.boxes = golden.at(str("boxes_", S)).clone();
      double* box = c.boxes.data<double>();
      for (int64_t b = 0; order == "upstream" && b < 10; ++b, box += 4) {
        std::swap(box[0], box[1]);
        std::swap(box[2], box[3]);
      }
      const Tensor mix = order == "correct_mixed" ? mix_of(0.3) : Tensor();
      for (Device device : devices())
        for (DType dtype : {DType::f64, DType::f32}) {
          // An emulated GPU is slow, and its kernels are proved above.
          if (device == Device::cuda && (dtype == DType::f64 || !mix.defined())) continue;
          SCOPED_TRACE(str(order, " on maps of ", S));
          Case whole = c;
          whole.rows = whole.columns = 1;
          expect_numbers(whole.run(device, dtype, mix),
                         numbers(golden.at(str("whole_", S, "_", order))), 2);
          const Tensor tokens = c.run(device, dtype, mix);
          const std::vector<double> all = numbers(tokens);
          std::vector<double> every;
          for (size_t i = 0; i < all.size(); i += 7) every.push_back(all[i]);
          expect_numbers(Tensor::from<double>(every, {int64_t(every.size())}).to(dtype),
                         numbers(golden.at(str("tokens_", S, "_", order))), 2);
        }
    }
  }
}

TEST(TokenTargets, ARecordingCutsEachBatchInItsOwnWay) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  const Case c = cases()[1];
  const Tensor values = c.values.to(Device::cuda), classes = c.classes.to(Device::cuda);
  Tensor boxes = c.boxes.to(Device::cuda), mix = mix_of(1).to(Device::cuda), t;
  cuda::Graph graph;
  graph.capture([&] {
    t = ops::token_targets(values, classes, boxes, c.K, c.rows, c.columns, c.smoothing, DType::f32,
                           mix);
  });
  for (double lambda : {1.0, 0.25}) {
    Case now = c;
    now.boxes = c.boxes.clone();
    for (int64_t i = 0; i < now.boxes.numel(); ++i) now.boxes.data<double>()[i] *= lambda;
    boxes.copy_from(now.boxes);
    mix.copy_from(mix_of(lambda));
    graph.launch();
    expect_numbers(t, numbers(now.run(Device::cpu, DType::f64, mix_of(lambda))), 2);
  }
}

// On a GPU nobody looks. An invalid class makes the rows nan that read it, an invalid box all rows
// of its image; when images are mixed, the rows of their partners too.
TEST(TokenTargets, AnInvalidClassOrBoxOnTheGpuMakesNan) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  const int64_t cells = 4 * 4, K = 7;
  auto nans = [&](const Case& c, const Tensor& mix) {
    std::vector<bool> rows;
    const std::vector<double> t = numbers(c.run(Device::cuda, DType::f32, mix));
    for (size_t i = 0; i < t.size(); ++i) {
      if (i % K == 0) rows.push_back(std::isnan(t[i]));
      EXPECT_EQ(std::isnan(t[i]), rows.back()) << "a row is nan as a whole, element " << i;
    }
    return rows;
  };
  // 8 x 8 cells for 4 x 4 tokens: each reads its own 2 x 2 cells and their neighbours at most.
  Case c = filled({{3, 8, 8, 2}, K, 4, 4});
  c.boxes = Tensor::from<double>({0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1}, {3, 4});
  for (int32_t invalid : {-1, 7, INT32_MAX}) {
    Case bad = c;
    bad.classes = c.classes.clone();
    bad.classes.data<int32_t>()[1] = invalid;  // in the first cell of the first map
    for (bool mixed : {false, true}) {
      const std::vector<bool> rows = nans(bad, mixed ? mix_of(0.5) : Tensor());
      for (int64_t i = 0; i < 3 * cells; ++i)
        EXPECT_EQ(rows[size_t(i)], i == 0 || (mixed && i == 2 * cells)) << i << " for " << invalid;
    }
  }
  const std::vector<std::vector<double>> invalid{{NAN, 0, 1, 1}, {0, 0, 1e300, 1}, {0, .6, 1, .5}};
  for (const std::vector<double>& box : invalid) {
    Case bad = c;
    bad.boxes = c.boxes.clone();
    std::copy(box.begin(), box.end(), bad.boxes.data<double>() + 4);
    const std::vector<bool> rows = nans(bad, {});
    for (int64_t i = 0; i < 3 * cells; ++i) EXPECT_EQ(rows[size_t(i)], i / cells == 1) << i;
  }
}

TEST(TokenTargets, OfNoImages) {
  for (Device device : devices())
    for (const Tensor& mix : {Tensor(), mix_of(0.3)})
      EXPECT_EQ(filled({{0, 3, 3, 2}, 5, 2, 2}).run(device, DType::f32, mix).shape(),
                (Shape{0, 2, 2, 5}));
}

TEST(TokenTargets, Errors) {
  const Case c = filled({{2, 3, 4, 2}, 5, 2, 2});
  auto fails = [&](auto change, const std::vector<std::string>& parts) {
    Case bad = c;
    bad.classes = c.classes.clone();
    bad.boxes = c.boxes.clone();
    change(bad);
    expect_error([&] { bad.run(); }, parts);
  };
  auto run = [&](const Tensor& values, DType dtype, const Tensor& mix) {
    ops::token_targets(values, c.classes, c.boxes, 5, 2, 2, 0, dtype, mix);
  };
  expect_error([&] { run({}, DType::f32, {}); }, {"token_targets", "values is undefined"});
  expect_error([&] { run(c.values.to(DType::f64), DType::f32, {}); },
               {"token_targets", "values is f64", "f32 (B, h, w, T)"});
  expect_error([&] { run(leaf(c.values), DType::f32, {}); }, {"values has no gradient"});
  expect_error([&] { run(c.values, DType::bf16, {}); }, {"targets in bf16", "f32 or f64"});
  expect_error([&] { run(c.values, DType::f32, Tensor::zeros({5}, DType::f64)); },
               {"mix is f64 (5)", "f64 (6)"});
  fails([](Case& bad) { bad.classes = bad.classes.slice(0, 1); },
        {"classes is i32 (1, 3, 4, 2)", "i32 (2, 3, 4, 2)"});
  fails([](Case& bad) { bad.boxes = bad.boxes.to(DType::f32); }, {"boxes is f32", "f64 (2, 4)"});
  fails([](Case& bad) { bad.rows = 0; }, {"0 x 2 tokens", "1 or more"});
  fails([](Case& bad) { bad.classes.data<int32_t>()[7] = 5; },
        {"token_targets", "class 5 at place 7", "0 ... 4"});
  fails([](Case& bad) { bad.classes.data<int32_t>()[0] = -1; }, {"class -1 at place 0"});
  fails([](Case& bad) { bad.boxes.data<double>()[6] = 0.2; },
        {"box 1 is {0.41, 0.32, 0.2, 0.33}", "{left, top, right, bottom}"});
  fails([](Case& bad) { bad.boxes.data<double>()[1] = NAN; }, {"box 0 is {0, nan, 1, 1}"});
  fails([](Case& bad) { bad.boxes.data<double>()[3] = 2.5; }, {"box 0", "in [-1, 2]"});
}

}  // namespace rmt::test
