// The kernels of packed_attention, in bf16.
#include "core/cuda/runtime.h"
#include "ops/attention/lines.h"

namespace rmt::gpu {

bool packed_attention_serves(const Lines&, const bf16*, const float*) { return false; }
void packed_attention_forward(const bf16*, const float*, const float*, const float*, const float*,
                              bf16*, bf16*, const Lines&, int64_t) {}
void packed_attention_backward(const bf16*, const float*, const float*, const float*, const bf16*,
                               const bf16*, bf16*, float*, float*, const Lines&, int64_t) {}

}  // namespace rmt::gpu
