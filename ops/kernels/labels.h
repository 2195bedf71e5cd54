// Numbers of classes, which are bytes or i64, as kernels read them. Internal to ops/.
#pragma once
#include "ops/kernels/expect.h"

namespace rmt {

struct Labels {
  const void* at;
  bool bytes;
  HD int64_t operator[](int64_t i) const {
    return bytes ? static_cast<const uint8_t*>(at)[i] : static_cast<const int64_t*>(at)[i];
  }
};

inline Labels expect_labels(const char* op, const Tensor& labels, const Shape& shape,
                            Device device) {
  expect_defined(op, "labels", labels);
  const bool bytes = labels.dtype() == DType::u8;
  CHECK(labels.shape() == shape && (bytes || labels.dtype() == DType::i64), op, ": labels is ",
        labels.dtype(), " ", labels.shape(), ", expected u8 or i64 ", shape);
  CHECK(labels.device() == device, op, ": labels ", shape, " are on ", labels.device(),
        ", the logits on ", device, "; bring them together with Tensor::to(Device)");
  return {labels.raw(), bytes};
}

}  // namespace rmt
