// Everything that a training run depends on. Written to args.json and into every checkpoint; the
// field names are timm's flags. The fields, their defaults and what they mean are the rows of
// train/settings.def: `SETTING(int64_t, epochs, 300, ...)` there is `int64_t epochs = 300;` here.
#pragma once
#include <array>
#include <cstdint>
#include <string>

namespace rmt::train {

using Pair = std::array<double, 2>;
using Channels = std::array<double, 3>;  // a number for red, green and blue

template <class... Numbers>
constexpr std::array<double, sizeof...(Numbers)> numbers(Numbers... x) {
  return {double(x)...};
}

struct TrainOptions {
#define GROUP(name, title)
#define SETTING(type, field, value, ...) type field = value;
#define SWITCH(field, ...) bool field = true;
#include "train/settings.def"
#undef GROUP
#undef SETTING
#undef SWITCH
};

inline int64_t images_a_step(const TrainOptions& o) {
  return o.batch_size * o.grad_accum_steps * o.processes;
}

// d of the moving average, e += (1 - d) (p - e): the option, or 0.99996 ^ (images a step / 512),
// the official code's (nn/rmt/README.md, "The recipe"), or 0 without --model-ema.
double ema_decay(const TrainOptions& options);

// With numbers where lr, warmup_epochs and mixup_off_epoch leave it to a rule.
TrainOptions resolved(TrainOptions options);

// One JSON object, its fields in alphabetical order, two spaces deep, a newline at the end.
std::string to_json(const TrainOptions& options);
// Fields that are missing keep their default, others are passed over. Error, which begins with
// `source`, when the text is not such options.
TrainOptions options_from_json(const std::string& text, const std::string& source);

// Error, naming the flag, for values that make no sense.
void check(const TrainOptions& options);

}  // namespace rmt::train
