// Compiled without fused multiply-adds (Makefile), so that arguments are Python's to the bit.
#include "data/images/augment.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "core/error.h"

namespace rmt::data {
namespace {

// All of `text` as a number in [least, most].
template <class T>
T parse_number(const std::string& text, const std::string& part, const std::string& policy, T least,
               T most) {
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  CHECK(error == std::errc() && end == text.data() + text.size() && value >= least && value <= most,
        "--aa ", policy, ": its part \"", part, "\" wants ",
        std::is_integral_v<T> ? "an integer" : "a number", " between ", least, " and ", most);
  return value;
}

void set_part(RandAugment& policy, const std::string& part, const std::string& text) {
  const size_t digit = std::min(part.find_first_of("0123456789"), part.size());
  const std::string key = part.substr(0, digit), value = part.substr(digit);
  if (key == "m")
    policy.magnitude = double(parse_number<int64_t>(value, part, text, 0, 100));
  else if (key == "n")
    policy.operations = parse_number<int64_t>(value, part, text, 1, 100);
  else if (key == "p")
    policy.probability = parse_number<double>(value, part, text, 0, 1);
  else if (key == "mstd")
    policy.deviation = parse_number<double>(value, part, text, 0, 1e9);
  else if (key == "mmax")
    policy.most = double(parse_number<int64_t>(value, part, text, 1, 100));
  else if (key == "inc")
    policy.increasing =
        parse_number<int64_t>(value, part, text, 1, 1) == 1;  // timm takes inc0 for inc1
  else
    CHECK(false, "--aa ", text, ": unknown part \"", part,
          "\"; known: m9 (magnitude), n2 (operations), p0.5 (probability of each), mstd0.5 "
          "(deviation of the magnitude), ",
          "mmax10 (its upper end), inc1 (operations that grow with it); timm's t and w, other sets "
          "of operations, are not here");
}

double drawn_magnitude(const RandAugment& policy, Random& random) {
  double m = policy.magnitude;
  if (policy.deviation > 100)
    m = random.uniform(0, policy.magnitude);
  else if (policy.deviation > 0)
    m += policy.deviation * random.normal();
  return std::clamp(m, 0.0, policy.most);
}

}  // namespace

std::optional<RandAugment> parse_augment(const std::string& text) {
  if (text == "none") return std::nullopt;
  RandAugment policy;
  std::set<std::string> seen;
  size_t dash = std::min(text.find('-'), text.size());
  CHECK(text.substr(0, dash) == "rand", "--aa ", text,
        ": give none, or RandAugment as in rand-m9-mstd0.5-inc1; others are not here");
  while (dash < text.size()) {
    const size_t begin = dash + 1;
    dash = std::min(text.find('-', begin), text.size());
    const std::string part = text.substr(begin, dash - begin);
    CHECK(seen.insert(part.substr(0, part.find_first_of("0123456789"))).second, "--aa ", text,
          ": its part \"", part, "\" is the second of its kind");
    set_part(policy, part, text);
  }
  return policy;
}

double augment_argument(AugmentOp op, double magnitude, bool negative, bool increasing) {
  const double level = magnitude / 10;
  auto either = [&](double v) { return negative ? -v : v; };
  switch (op) {
    case AugmentOp::autocontrast:
    case AugmentOp::equalize:
    case AugmentOp::invert: return 0;
    case AugmentOp::rotate: return either(level * 30);
    case AugmentOp::posterize: return increasing ? 4 - int(level * 4) : int(level * 4);
    case AugmentOp::solarize:
      return increasing ? 256 - std::min(256, int(level * 256)) : std::min(256, int(level * 256));
    case AugmentOp::solarize_add: return std::min(128, int(level * 110));
    case AugmentOp::saturation:
    case AugmentOp::contrast:
    case AugmentOp::brightness:
    case AugmentOp::sharpness:
      return increasing ? std::max(0.1, 1 + either(level * 0.9)) : level * 1.8 + 0.1;
    case AugmentOp::shear_x:
    case AugmentOp::shear_y: return either(level * 0.3);
    case AugmentOp::translate_x:
    case AugmentOp::translate_y: return either(level * 0.45);
  }
  throw Error("augment: no such operation");
}

std::vector<AugmentStep> draw_steps(const RandAugment& policy, Random& random) {
  std::vector<AugmentStep> steps;
  for (int64_t i = 0; i < policy.operations; ++i) {
    const AugmentOp op = AugmentOp(random.below(kAugmentOps));
    if (random.uniform() >= policy.probability) continue;
    const double magnitude = drawn_magnitude(policy, random);
    const bool negative = random.uniform() < 0.5;
    const bool bilinear = policy.random_resampling && random.uniform() < 0.5;
    steps.push_back({op, augment_argument(op, magnitude, negative, policy.increasing),
                     bilinear ? Resampling::bilinear : Resampling::bicubic});
  }
  return steps;
}

std::optional<Affine> movement(const AugmentStep& step, int64_t width, int64_t height) {
  const double v = step.argument;
  switch (step.op) {
    case AugmentOp::rotate: return rotation(v, width, height);
    case AugmentOp::shear_x: return shear_x(v);
    case AugmentOp::shear_y: return shear_y(v);
    case AugmentOp::translate_x: return translation(v * double(width), 0);
    case AugmentOp::translate_y: return translation(0, v * double(height));
    default: return std::nullopt;
  }
}

void apply_step(const AugmentStep& step, Pixels p, Colour fill) {
  const double v = step.argument;
  switch (step.op) {
    case AugmentOp::autocontrast: return autocontrast(p);
    case AugmentOp::equalize: return equalize(p);
    case AugmentOp::invert: return invert(p);
    case AugmentOp::posterize: return posterize(p, int(v));
    case AugmentOp::solarize: return solarize(p, int(v));
    case AugmentOp::solarize_add: return solarize_add(p, int(v));
    case AugmentOp::saturation: return saturation(p, v);
    case AugmentOp::contrast: return contrast(p, v);
    case AugmentOp::brightness: return brightness(p, v);
    case AugmentOp::sharpness: return sharpness(p, v);
    case AugmentOp::rotate:
    case AugmentOp::shear_x:
    case AugmentOp::shear_y:
    case AugmentOp::translate_x:
    case AugmentOp::translate_y:
      return apply_affine(p, *movement(step, p.width, p.height), step.resampling, fill);
  }
}

void augment(const RandAugment& policy, Pixels p, Colour fill, Random& random) {
  for (const AugmentStep& step : draw_steps(policy, random)) apply_step(step, p, fill);
}

}  // namespace rmt::data
