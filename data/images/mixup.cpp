#include "data/images/mixup.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace rmt::data {
namespace {

// The logarithm of a number with density ~ x^(a - 1) e^-x: Marsaglia and Tsang, "A simple method
// for generating gamma variables" (2000). For a < 1 theirs of a + 1 times U^(1 / a), which for
// small a only a logarithm can hold.
double log_gamma_variate(double a, Random& random) {
  if (a < 1) {
    const double boost = std::log(1 - random.uniform()) / a;
    return log_gamma_variate(a + 1, random) + boost;
  }
  const double d = a - 1. / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = random.normal(), v = 1 + c * x, u = 1 - random.uniform();
    if (v <= 0) continue;
    const double log_v3 = 3 * std::log(v);
    if (std::log(u) < 0.5 * x * x + d - d * v * v * v + d * log_v3) return std::log(d) + log_v3;
  }
}

}  // namespace

void check_mix_options(const MixOptions& o) {
  for (auto [name, alpha] : {std::pair{"mixup", o.mixup}, std::pair{"cutmix", o.cutmix}})
    CHECK(alpha == 0 || (alpha >= 1e-6 && alpha <= 1e3), name, " alpha ", alpha,
          " is neither 0 nor in [1e-6, 1000]");
  CHECK(o.probability >= 0 && o.probability <= 1, "mixup probability ", o.probability,
        " is not in [0, 1]");
  CHECK(o.switch_probability >= 0 && o.switch_probability <= 1, "mixup switch probability ",
        o.switch_probability, " is not in [0, 1]");
  CHECK(o.off_epoch >= 0, "mixup off epoch ", o.off_epoch, " is below 0");
}

double draw_beta(double a, double b, Random& random) {
  CHECK(a > 0 && b > 0, "Beta(", a, ", ", b, "): both must be above 0");
  const double x = log_gamma_variate(a, random), y = log_gamma_variate(b, random);
  return 1 / (1 + std::exp(y - x));  // e^x / (e^x + e^y)
}

Mix cutmix(double lambda, int64_t x, int64_t y, int64_t height, int64_t width) {
  const double ratio = std::sqrt(1 - lambda);
  const int64_t half_h = int64_t(double(height) * ratio) / 2,
                half_w = int64_t(double(width) * ratio) / 2;
  const int64_t top = std::max<int64_t>(y - half_h, 0), bottom = std::min(y + half_h, height);
  const int64_t left = std::max<int64_t>(x - half_w, 0), right = std::min(x + half_w, width);
  const Crop box{left, top, right - left, bottom - top};
  return {1, 1 - double(box.width * box.height) / double(width * height), box};
}

Mix draw_mix(const MixOptions& o, int64_t height, int64_t width, Random& random) {
  if (!o.on() || random.uniform() >= o.probability) return {};
  const bool cut = o.mixup == 0 || (o.cutmix > 0 && random.uniform() < o.switch_probability);
  const double alpha = cut ? o.cutmix : o.mixup, lambda = draw_beta(alpha, alpha, random);
  if (!cut) return {lambda, lambda, {0, 0, 0, 0}};
  const int64_t y = random.below(height), x = random.below(width);
  return cutmix(lambda, x, y, height, width);
}

Mix mix_of_batch(const MixOptions& o, uint64_t seed, int64_t epoch, int64_t batch, int64_t height,
                 int64_t width) {
  if (o.off_epoch > 0 && epoch >= o.off_epoch) return {};
  Random random(seed, Purpose::mix, uint64_t(epoch), uint64_t(batch));
  return draw_mix(o, height / o.unit, width / o.unit, random);
}

}  // namespace rmt::data
