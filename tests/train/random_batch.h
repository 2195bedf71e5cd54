// A batch of random bytes, for tests of the training step.
#pragma once
#include "core/random.h"
#include "data/batch.h"

namespace rmt::test {

// Bytes that are not normalised yet, as a loader makes them for a GPU.
inline data::Batch random_batch(int64_t B, int64_t S, int64_t classes, uint64_t seed) {
  data::Batch b{Tensor::empty({B, S, S, 3}, DType::u8),
                Tensor::empty({B}, DType::u8),
                Tensor::empty({B}, DType::i64),
                {}};
  Random random(seed, Purpose::test);
  for (int64_t i = 0; i < b.images.numel(); ++i)
    b.images.data<uint8_t>()[i] = uint8_t(random.below(256));
  for (int64_t i = 0; i < B; ++i) {
    b.mirror.data<uint8_t>()[i] = uint8_t(random.below(2));
    b.labels.data<int64_t>()[i] = random.below(classes);
  }
  return b;
}

}  // namespace rmt::test
