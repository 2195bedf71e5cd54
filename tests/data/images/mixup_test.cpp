// What is drawn for Mixup and CutMix: the Beta distribution, the boxes, and on what they depend.
// What is done with it: tests/ops/mix_images_test.cpp.
#include "data/images/mixup.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "data/loader.h"
#include "data/sets/image_folder.h"
#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;

namespace {

// P(X <= x) for Beta(a, a): with s = u^a the integral of (u (1 - u))^(a - 1) is that of (1 - s^(1 /
// a))^(a - 1) / a, smooth below u = 1 / 2 (Simpson).
double part(double x, double a) {
  const double end = std::pow(x, a);
  auto f = [a](double s) { return std::pow(1 - std::pow(s, 1 / a), a - 1) / a; };
  const int steps = 64;
  double sum = f(0) + f(end);
  for (int i = 1; i < steps; ++i) sum += (i % 2 ? 4 : 2) * f(end * i / steps);
  return sum * end / steps / 3;
}
double beta_cdf(double x, double a) {
  return x <= 0.5 ? part(x, a) / part(0.5, a) / 2 : 1 - beta_cdf(1 - x, a);
}

std::vector<double> sorted_draws(double a, double b, uint64_t seed, int n) {
  std::vector<double> all;
  for (int i = 0; i < n; ++i) {
    Random random(seed, Purpose::test, 0, uint64_t(i));
    all.push_back(draw_beta(a, b, random));
  }
  std::sort(all.begin(), all.end());
  return all;
}

// Between the draws' distribution function and Beta(a, a)'s, at 999 places.
double distance(const std::vector<double>& sorted, double a) {
  double d = 0;
  for (int i = 1; i < 1000; ++i) {
    const double x = i / 1000.,
                 below = double(std::upper_bound(sorted.begin(), sorted.end(), x) - sorted.begin());
    d = std::max(d, std::fabs(beta_cdf(x, a) - below / double(sorted.size())));
  }
  return d;
}

bool operator==(const Mix& a, const Mix& b) {
  return a.image_lambda == b.image_lambda && a.target_lambda == b.target_lambda && a.box == b.box;
}

}  // namespace

TEST(Mixup, TheReferenceCdfIsRight) {
  for (double x : {0.0, 0.1, 0.5, 0.9, 1.0}) {
    EXPECT_NEAR(beta_cdf(x, 1), x, 1e-12);
    EXPECT_NEAR(beta_cdf(x, 0.5), 2 / 3.141592653589793 * std::asin(std::sqrt(x)), 1e-8)
        << "the arcsine law";
    EXPECT_NEAR(beta_cdf(x, 2), x * x * (3 - 2 * x), 1e-5)
        << "far below the distances that are measured with it";
  }
}

// Kolmogorov and Smirnov: n draws leave the distribution function by less than 1.95 / sqrt n (one
// sample in a thousand would not). An alpha that is wrong by a tenth leaves it by more.
TEST(Mixup, DrawsTheBetaDistribution) {
  const int n = 100000;
  for (double a : {0.2, 0.8, 1.0, 2.5}) {
    const std::vector<double> draws = sorted_draws(a, a, 4, n);
    const double bound = 1.95 / std::sqrt(double(n));
    EXPECT_LT(distance(draws, a), bound) << "alpha " << a;
    EXPECT_GT(distance(draws, 0.9 * a), bound) << "alpha " << a;
    EXPECT_GT(distance(draws, 1.1 * a), bound) << "alpha " << a;
  }
}

// Mean a / (a + b), variance ab / ((a + b)^2 (a + b + 1)), within five standard errors; that of the
// variance is at most sqrt(variance / n) for numbers in [0, 1].
TEST(Mixup, MomentsOfUnequalParameters) {
  const int n = 40000;
  for (auto [a, b] : {std::pair{0.3, 3.0}, {2.0, 5.0}, {40.0, 1.0}, {0.8, 0.8}, {1.0, 1.0}}) {
    double sum = 0, squares = 0;
    for (double x : sorted_draws(a, b, 5, n)) sum += x, squares += x * x;
    const double mean = a / (a + b), variance = a * b / ((a + b) * (a + b) * (a + b + 1));
    EXPECT_NEAR(sum / n, mean, 5 * std::sqrt(variance / n)) << a << " " << b;
    EXPECT_NEAR(squares / n - (sum / n) * (sum / n), variance, 5 * std::sqrt(variance / n))
        << a << " " << b;
  }
}

// Beta(a, a) with a very small is a coin: gamma numbers below the smallest double must not end in 0
// / 0.
TEST(Mixup, VerySmallAlphasAreACoin) {
  const std::vector<double> draws = sorted_draws(1e-6, 1e-6, 6, 10000);
  int ones = 0;
  for (double x : draws) {
    ASSERT_TRUE(x >= 0 && x <= 1) << x;
    ones += x > 0.5;
  }
  EXPECT_NEAR(ones, 5000, 250);  // five deviations
  EXPECT_GT(draws.back(), 0.999);
}

TEST(Mixup, BoxesAreTimms) {
  std::ifstream golden("tests/golden/timm_mixup.txt");
  ASSERT_TRUE(golden) << "run the tests from the project's root";
  int cases = 0;
  for (std::string line; std::getline(golden, line);) {
    std::istringstream in(line);
    std::string kind, lambda, corrected;
    int64_t H, W, y, x, top, bottom, left, right;
    if (in >> kind, kind != "box") continue;
    ASSERT_TRUE(in >> H >> W >> lambda >> y >> x >> top >> bottom >> left >> right >> corrected)
        << line;
    const Mix m = cutmix(std::strtod(lambda.c_str(), nullptr), x, y, H, W);
    EXPECT_EQ(m.box, (Crop{left, top, right - left, bottom - top})) << line;
    EXPECT_EQ(m.target_lambda, std::strtod(corrected.c_str(), nullptr)) << line;
    EXPECT_EQ(m.image_lambda, 1);
    ++cases;
  }
  EXPECT_EQ(cases, 60);
}

// How often, and which of the two; and the lambda of each.
TEST(Mixup, DrawsWhatTheOptionsSay) {
  const int n = 20000;
  struct Count {
    int none = 0, mixed = 0, cut = 0;
    double lambda = 0, squares = 0;  // of Mixup
  };
  auto count = [&](const MixOptions& o) {
    Count c;
    for (int i = 0; i < n; ++i) {
      const Mix m = mix_of_batch(o, 7, 2, i, 64, 48);
      EXPECT_TRUE(m.target_lambda >= 0 && m.target_lambda <= 1);
      if (m.image_lambda < 1) {
        EXPECT_EQ(m.target_lambda, m.image_lambda);
        EXPECT_EQ(m.box, (Crop{0, 0, 0, 0}));
        ++c.mixed, c.lambda += m.image_lambda, c.squares += m.image_lambda * m.image_lambda;
      } else {
        ++(m.box.width * m.box.height > 0 ? c.cut : c.none);
      }
    }
    return c;
  };
  auto near = [&](int got, double p) { EXPECT_NEAR(got, p * n, 5 * std::sqrt(p * (1 - p) * n)); };
  // A box of less than two pixels' width or height is none: sqrt(1 - lambda) 48 < 2, with
  // probability 1 / 24^2 for a uniform lambda.
  const double none = 1. / 576;
  Count c = count({.mixup = 0.8});
  EXPECT_EQ(c.mixed, n);
  EXPECT_NEAR(c.lambda / n, 0.5, 5 * std::sqrt(0.0961538 / n)) << "variance 1 / (4 (2 alpha + 1))";
  EXPECT_NEAR(c.squares / n - 0.25, 0.0961538, 5 * std::sqrt(0.0961538 / n));
  c = count({.cutmix = 1});
  EXPECT_EQ(c.mixed, 0);
  near(c.none, none);
  c = count({.mixup = 0.8, .cutmix = 1, .probability = 0.7, .switch_probability = 0.25});
  near(c.mixed, 0.7 * 0.75), near(c.cut, 0.7 * 0.25 * (1 - none)),
      near(c.none, 0.3 + 0.7 * 0.25 * none);
  EXPECT_EQ(count({}).none, n);
  EXPECT_EQ(count({.mixup = 0.8, .probability = 0}).none, n);
}

TEST(Mixup, DependsOnSeedEpochAndBatchAlone) {
  const MixOptions o{.mixup = 0.8};
  const Mix m = mix_of_batch(o, 7, 2, 5, 32, 32);
  EXPECT_TRUE(mix_of_batch(o, 7, 2, 5, 32, 32) == m);
  EXPECT_FALSE(mix_of_batch(o, 8, 2, 5, 32, 32) == m);
  EXPECT_FALSE(mix_of_batch(o, 7, 3, 5, 32, 32) == m);
  EXPECT_FALSE(mix_of_batch(o, 7, 2, 6, 32, 32) == m);
  const MixOptions off{.mixup = 0.8, .off_epoch = 3};
  EXPECT_TRUE(mix_of_batch(off, 7, 2, 5, 32, 32) == m);
  for (int64_t epoch : {3, 4}) EXPECT_TRUE(mix_of_batch(off, 7, epoch, 5, 32, 32) == Mix());
}

TEST(Mixup, RefusesWhatMakesNoSense) {
  EXPECT_TRUE(
      contains(error_of([] { check_mix_options(MixOptions{.mixup = -1}); }), "mixup alpha -1"));
  EXPECT_TRUE(contains(error_of([] { check_mix_options(MixOptions{.cutmix = 1e-9}); }),
                       "cutmix alpha 1e-09"));
  EXPECT_TRUE(
      contains(error_of([] { check_mix_options(MixOptions{.cutmix = NAN}); }), "cutmix alpha nan"));
  EXPECT_TRUE(contains(error_of([] { check_mix_options(MixOptions{.probability = 1.1}); }),
                       "probability 1.1"));
  EXPECT_TRUE(contains(error_of([] { check_mix_options(MixOptions{.switch_probability = -0.1}); }),
                       "switch probability -0.1"));
  EXPECT_TRUE(
      contains(error_of([] { check_mix_options(MixOptions{.off_epoch = -1}); }), "off epoch -1"));
  Random random(1, Purpose::test);
  EXPECT_TRUE(contains(error_of([&] { draw_beta(0, 1, random); }), "Beta(0, 1)"));
}

// ---- the loader's part

namespace {

struct Images {
  TemporaryFolder folder;
  Images() {
    for (int i = 0; i < 22; ++i)
      folder.write(str("train/", i % 2 ? "a" : "b", "/", i, ".jpg"),
                   encode_jpeg(test_image(20, 18, i), 90));
  }
  ImageFolder open() const { return ImageFolder(folder.path(), "train"); }
};

LoaderOptions options(int workers) {
  LoaderOptions o;
  o.batch_size = 4, o.workers = workers, o.seed = 5;
  o.transform.image_size = 12;
  return o;
}

std::vector<Batch> epoch(Loader& loader, int64_t number, int64_t first = 0) {
  loader.start(number, first);
  std::vector<Batch> batches;
  while (auto b = loader.next()) batches.push_back(*b);
  return batches;
}

}  // namespace

TEST(Mixup, TheLoaderDrawsForEachBatch) {
  Images images;
  ImageFolder data = images.open();
  for (int workers : {0, 3}) {
    LoaderOptions o = options(workers);
    o.mix = {.mixup = 0.8, .cutmix = 1, .off_epoch = 2};
    Loader loader(data, o);
    for (int64_t e : {0, 1, 2})
      for (int64_t first : {0, 3}) {
        int64_t number = first;
        for (const Batch& b : epoch(loader, e, first)) {
          const Mix m = mix_of_batch(o.mix, o.seed, e, number++, 12, 12);
          ASSERT_TRUE(b.mix.defined());
          EXPECT_EQ(
              b.mix.to_vector<double>(),
              (std::vector<double>{m.image_lambda, m.target_lambda, double(m.box.x),
                                   double(m.box.y), double(m.box.width), double(m.box.height)}));
          if (e == 2) {
            EXPECT_TRUE(m == Mix());
          }
        }
        EXPECT_EQ(number, 5);
      }
    o.train = false, o.batch_size = 5;
    Loader evaluation(data, o);
    for (const Batch& b : epoch(evaluation, 0)) EXPECT_FALSE(b.mix.defined());
    o = options(workers);
    Loader plain(data, o);
    for (const Batch& b : epoch(plain, 0)) EXPECT_FALSE(b.mix.defined());
  }
}

TEST(Mixup, TheLoaderWantsEvenBatches) {
  Images images;
  ImageFolder data = images.open();
  auto make = [&](int64_t batch_size, std::optional<bool> drop_last) {
    LoaderOptions o = options(0);
    o.mix = {.mixup = 0.8}, o.batch_size = batch_size, o.drop_last = drop_last;
    Loader loader(data, o);
  };
  EXPECT_TRUE(contains(error_of([&] { make(5, {}); }),
                       "22 images in batches of 5 leave one alone: use an even batch size"));
  EXPECT_TRUE(contains(error_of([&] { make(3, false); }), "even batch size"));
  make(4, {}), make(4, false);  // the rest are two
  images.folder.write("train/a/more.jpg", encode_jpeg(test_image(20, 18), 90));
  data = images.open();
  make(4, {});
  EXPECT_TRUE(
      contains(error_of([&] { make(4, false); }), "23 images in batches of 4 leave one alone"));
}

// The rectangles come along with the bytes: those that the transform draws.
TEST(Erase, TheLoaderHandsOutRectangles) {
  Images images;
  ImageFolder data = images.open();
  LoaderOptions o = options(2);
  Loader plain(data, o);
  for (const Batch& b : epoch(plain, 0)) EXPECT_FALSE(b.erase.defined());
  o.transform.erasing.probability = 0.5;
  Loader loader(data, o);
  int64_t erased = 0;
  for (const Batch& b : epoch(loader, 1)) {
    ASSERT_EQ(b.erase.shape(), Shape({4, 5}));
    for (size_t i = 0; i < 4; ++i) {
      Random random(o.seed, Purpose::augment, 1, uint64_t(b.indices[i]));
      const Image image = read_image(data.name(b.indices[i]));
      const Erasing e = draw_train(image.width, image.height, o.transform, random)
                            .erasing.value_or(Erasing{{0, 0, 0, 0}, 0});
      const std::vector<int64_t> want{e.box.x, e.box.y, e.box.width, e.box.height, int64_t(e.key)},
          all = b.erase.to_vector<int64_t>();
      EXPECT_EQ(
          std::vector<int64_t>(all.begin() + int64_t(i) * 5, all.begin() + int64_t(i) * 5 + 5),
          want);
      erased += e.box.width > 0;
    }
  }
  EXPECT_TRUE(0 < erased && erased < 20) << erased;
  o.train = false;
  Loader evaluation(data, o);
  for (const Batch& b : epoch(evaluation, 0)) EXPECT_FALSE(b.erase.defined());
}
