#include "data/batch.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace rmt::data {
namespace {

// The colour that normalises to `value`. Noise may lie outside of what a byte holds.
uint8_t to_byte(float value, float mean, float deviation) {
  const float byte = 255 * (value * deviation + mean);
  return uint8_t(std::lround(std::clamp(byte, 0.f, 255.f)));
}

// rectangle: a row of Batch::erase.
void draw_noise(Image& image, const int64_t* rectangle, const TransformOptions& t) {
  const Crop box{rectangle[0], rectangle[1], rectangle[2], rectangle[3]};
  for (int64_t y = box.y; y < box.y + box.height; ++y)
    for (int64_t x = box.x; x < box.x + box.width; ++x) {
      const int64_t pixel = y * image.width + x;
      const std::array<float, 4> noise = normals(uint64_t(rectangle[4]), Purpose::erase, pixel);
      for (size_t c = 0; c < 3; ++c)
        image.rgb[size_t(pixel) * 3 + c] = to_byte(noise[c], t.mean[c], t.deviation[c]);
    }
}

}  // namespace

std::vector<Image> batch_pictures(const Batch& batch, const TransformOptions& t, int64_t most) {
  auto on_cpu = [](const Tensor& x) { return x.defined() ? x.to(Device::cpu) : x; };
  const Tensor images = on_cpu(batch.images);  // (B, H, W, 3)
  const Tensor mirrored = on_cpu(batch.mirror), erased = on_cpu(batch.erase);
  CHECK(images.rank() == 4 && images.dim(3) == 3 && images.dtype() == DType::u8,
        "batch_pictures: images are ", images.dtype(), " ", images.shape(),
        ", expected u8 (batch, height, width, 3)");
  const int64_t H = images.dim(1), W = images.dim(2);
  std::vector<Image> pictures;
  for (int64_t b = 0; b < std::min(most, images.dim(0)); ++b) {
    const uint8_t* bytes = images.data<uint8_t>() + b * H * W * 3;
    Image picture{W, H, std::vector<uint8_t>(bytes, bytes + H * W * 3)};
    if (mirrored.defined() && mirrored.data<uint8_t>()[b]) mirror({picture.rgb.data(), W, H});
    if (erased.defined()) draw_noise(picture, erased.data<int64_t>() + b * 5, t);
    pictures.push_back(std::move(picture));
  }
  return pictures;
}

}  // namespace rmt::data
