// Mixup (Zhang et al., "mixup: beyond empirical risk minimization", 2017) and CutMix (Yun et al.,
// 2019) as timm does both for the ImageNet recipe: a batch is mixed with itself in
// reverse order, by one lambda from Beta(alpha, alpha) for all of it. Mixup: lambda x_b + (1 -
// lambda) x_b'. CutMix: a square box of about 1 - lambda of the area is taken from x_b', and the
// targets' lambda is what remains of x_b, to the pixel. ops::mix_images does it.
#pragma once
#include "core/random.h"
#include "data/images/resize.h"

namespace rmt::data {

struct MixOptions {
  double mixup = 0, cutmix = 0;     // alpha of each; 0: never
  double probability = 1;           // of a batch to be mixed at all
  double switch_probability = 0.5;  // of CutMix where both are on
  int64_t off_epoch = 0;            // from this epoch on nothing is mixed; 0: to the end
  // The box of CutMix is made of squares of so many pixels a side, and counted in them. MixToken's
  // are a token's 32 (nn/rmt/model.h).
  int64_t unit = 1;
  bool on() const { return mixup > 0 || cutmix > 0; }
};

// Error that names the option which makes no sense.
void check_mix_options(const MixOptions& options);

// What is done to one batch: lambda of the images outside the box, lambda of the targets, and the
// box. As it is here: nothing.
struct Mix {
  double image_lambda = 1, target_lambda = 1;
  Crop box{0, 0, 0, 0};
};

// A number in [0, 1] from the Beta distribution, density ~ x^(a - 1) (1 - x)^(b - 1); a and b above
// 0.
double draw_beta(double a, double b, Random& random);

// CutMix with its centre at (x, y) in an image of height x width: sides of sqrt(1 - lambda) of the
// image's, rounded down, what sticks out is cut off.
Mix cutmix(double lambda, int64_t x, int64_t y, int64_t height, int64_t width);

Mix draw_mix(const MixOptions& options, int64_t height, int64_t width, Random& random);
// Of a batch of an epoch, both numbered from 0: a function of these and the seed alone. height and
// width in pixels, the box in units.
Mix mix_of_batch(const MixOptions& options, uint64_t seed, int64_t epoch, int64_t batch,
                 int64_t height, int64_t width);

}  // namespace rmt::data
