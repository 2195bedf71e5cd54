// What a checkpoint of the tiny model holds: parameters, buffers and the optimizer's state, all of
// random numbers.
#pragma once
#include "core/random.h"
#include "tests/train/tiny_model.h"
#include "train/optimizer.h"
#include "train/weights/safetensors.h"

namespace rmt::test {
using namespace train;

inline Archive training_state(uint64_t seed, bool optimizer = true) {
  nn::Rmt model(tiny());
  Archive a;
  model.init(seed);
  for (const nn::Entry& e : model.state()) a.tensors[e.name] = *e.tensor;
  a.metadata = {{"architecture", "rmt_n"},
                {"classes", "[\"cat\",\"dog \\\"the\\\" \xc3\xa4\"]"},
                {"options", "{\n  \"seed\": 1\n}\n"}};
  if (!optimizer) return a;
  Optimizer adam(model.parameters(), {});
  for (OptimizerSlot& s : adam.slots()) {
    s.exp_avg.fill(double(seed) * 1e-3);
    s.exp_avg_sq.fill(double(seed) * 1e-6);
    a.tensors["optimizer.exp_avg." + s.name] = s.exp_avg;
    a.tensors["optimizer.exp_avg_sq." + s.name] = s.exp_avg_sq;
    a.tensors["optimizer.step." + s.name] = Tensor::from<int64_t>({int64_t(seed)}, {});
  }
  return a;
}

}  // namespace rmt::test
