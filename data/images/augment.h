// RandAugment (Cubuk et al., 2019) in timm's form, named by timm's notation: rand-m9-mstd0.5-inc1
// is the ImageNet recipe's (nn/rmt/README.md, "The recipe").
// After "rand" come parts in any order, each at most once:
//
//   m<int>        magnitude, how strong, on a scale to 10; 10 when not given
//   mstd<number>  standard deviation of the magnitude; above 100: uniform in [0, m]
//   mmax<int>     upper end of the scale, 10 when not given
//   n<int>        operations a picture, 2 when not given
//   p<number>     probability of each operation, 0.5 when not given
//   inc1          operations that all grow stronger with the magnitude
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/random.h"
#include "data/images/affine.h"

namespace rmt::data {

struct RandAugment {
  double magnitude = 10;
  double deviation = 0;  // of the magnitude; above 100: uniform in [0, magnitude]
  double most = 10;      // magnitudes are clipped to [0, most]
  int64_t operations = 2;
  double probability = 0.5;
  bool increasing = false;
  // How pictures are sheared, turned and moved. timm: bicubic where it crops so, as the recipe
  // does; random where it crops with a random filter.
  bool random_resampling = false;
};
// Nothing for "none". Throws an Error that names the part that is wrong.
std::optional<RandAugment> parse_augment(const std::string& text);

// The operations, and what their argument is.
enum class AugmentOp {
  autocontrast,  // none
  equalize,      // none
  invert,        // none
  rotate,        // degrees counterclockwise
  posterize,     // bits that stay
  solarize,      // threshold
  solarize_add,  // amount
  saturation,    // factor, and in the next three
  contrast,
  brightness,
  sharpness,
  shear_x,      // columns a row
  shear_y,      // rows a column
  translate_x,  // share of the width, to the left
  translate_y   // share of the height, upwards
};
constexpr int64_t kAugmentOps = 15;

// One operation with all its chances taken.
struct AugmentStep {
  AugmentOp op;
  double argument = 0;
  Resampling resampling = Resampling::bicubic;
};

// timm's argument of an operation at a magnitude, on the negative side where there are two.
double augment_argument(AugmentOp op, double magnitude, bool negative, bool increasing);
// The steps of one picture: operations drawn with replacement, each done with its probability.
std::vector<AugmentStep> draw_steps(const RandAugment& policy, Random& random);
// Where a step takes the points of a picture of width x height pixels; none when it changes
// colours.
std::optional<Affine> movement(const AugmentStep& step, int64_t width, int64_t height);
void apply_step(const AugmentStep& step, Pixels p, Colour fill);

// All of it. `fill` is the colour of what comes in from outside.
void augment(const RandAugment& policy, Pixels p, Colour fill, Random& random);

}  // namespace rmt::data
