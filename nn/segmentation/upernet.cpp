#include "nn/segmentation/upernet.h"

#include "ops/adaptive_avg_pool2d.h"
#include "ops/add.h"
#include "ops/concat.h"
#include "ops/resize_bilinear.h"

namespace rmt::nn {
namespace {

constexpr int64_t kPools[] = {1, 2, 3, 6};

Tensor resized_as(const Tensor& x, const Tensor& y) {
  if (x.dim(1) == y.dim(1) && x.dim(2) == y.dim(2)) return x;
  return ops::resize_bilinear(x, y.dim(1), y.dim(2));
}

}  // namespace

UperNetHead::UperNetHead(const std::vector<int64_t>& channels_of_maps, int64_t O, int64_t classes,
                         double rate)
    : conv_seg(add<Conv2d>("conv_seg", O, classes, 1, 1, 0, ConvOptions{.fill = fill_of_last})) {
  const int64_t n = int64_t(channels_of_maps.size()), coarsest = channels_of_maps.back();
  for (size_t j = 0; j < std::size(kPools); ++j)
    psp_modules.push_back(&add<ConvModule>(str("psp_modules.", j, ".1"), coarsest, O, 1, true));
  bottleneck =
      &add<ConvModule>("bottleneck", coarsest + int64_t(std::size(kPools)) * O, O, 3, true);
  for (int64_t i = 0; i + 1 < n; ++i)
    lateral_convs.push_back(
        &add<ConvModule>(str("lateral_convs.", i), channels_of_maps[size_t(i)], O, 1, true));
  for (int64_t i = 0; i + 1 < n; ++i)
    fpn_convs.push_back(&add<ConvModule>(str("fpn_convs.", i), O, O, 3, true));
  fpn_bottleneck = &add<ConvModule>("fpn_bottleneck", n * O, O, 3, true);
  dropout = &add<DropoutOfChannels>("dropout", rate, 0);
}

Tensor UperNetHead::with_pools(const Tensor& x) {
  std::vector<Tensor> parts{x};
  for (size_t j = 0; j < std::size(kPools); ++j) {
    const Tensor pooled = ops::adaptive_avg_pool2d(x, kPools[j], kPools[j]);
    parts.push_back(resized_as(psp_modules[j]->forward(pooled), x));
  }
  return bottleneck->forward(ops::concat(parts, -1));
}

Tensor UperNetHead::features(const Maps& maps) {
  const size_t n = lateral_convs.size();
  CHECK(maps.size() == n + 1, "UperNet: got ", maps.size(), " maps, expected ", n + 1);
  CHECK(!mode().training || maps[0].dim(0) > 1,
        "UperNet: batch norm behind the pool of the whole image needs at least 2 images in "
        "training; give a larger batch");
  Maps l;
  for (size_t i = 0; i < n; ++i) l.push_back(lateral_convs[i]->forward(maps[i]));
  l.push_back(with_pools(maps[n]));
  for (size_t i = n; i > 0; --i) l[i - 1] = ops::add(l[i - 1], resized_as(l[i], l[i - 1]));
  for (size_t i = 0; i < n; ++i) l[i] = fpn_convs[i]->forward(l[i]);
  for (size_t i = 1; i <= n; ++i) l[i] = resized_as(l[i], l[0]);
  return fpn_bottleneck->forward(ops::concat(l, -1));
}

AuxiliaryHead::AuxiliaryHead(int64_t I, int64_t O, int64_t classes, double rate)
    : conv_seg(add<Conv2d>("conv_seg", O, classes, 1, 1, 0, ConvOptions{.fill = fill_of_last})),
      conv(add<ConvModule>("convs.0", I, O, 3, true)),
      dropout(add<DropoutOfChannels>("dropout", rate, 1)) {}

UperNet::UperNet(const RmtConfig& c, int64_t classes, const SegmenterOptions& o)
    : Segmenter(c, classes),
      decode_head(
          add<UperNetHead>("decode_head", backbone.channels(), 2 * o.channels, classes, o.dropout)),
      auxiliary_head(add<AuxiliaryHead>("auxiliary_head", backbone.channels(2), o.channels, classes,
                                        o.dropout)) {}

SegmentationLogits UperNet::forward(const Tensor& images) {
  const Maps maps = backbone.forward(images);
  SegmentationLogits y{decode_head.forward(maps), {}};
  if (mode().training) y.aux = auxiliary_head.forward(maps[2]);
  return y;
}

}  // namespace rmt::nn
