// Writes run lengths piece by piece.
#pragma once
#include "data/masks/run_lengths.h"

namespace rmt::data {

void check_mask_size(int64_t width, int64_t height);  // check_mask without counts

class RunWriter {
 public:
  RunWriter(int64_t width, int64_t height) : mask_{width, height, {0}} {}

  // The next pixels, column by column: all 1 or all 0.
  void add(bool on, int64_t pixels) {
    if (pixels == 0) return;
    if (on == (mask_.counts.size() % 2 == 0))
      mask_.counts.back() += uint32_t(pixels);
    else
      mask_.counts.push_back(uint32_t(pixels));
    written_ += pixels;
  }
  // 0 up to place `end`, x H + y.
  void zeros_until(int64_t end) { add(false, end - written_); }

  RunLengths finish() {
    check_mask(mask_);
    return std::move(mask_);
  }

 private:
  RunLengths mask_;
  int64_t written_ = 0;
};

}  // namespace rmt::data
