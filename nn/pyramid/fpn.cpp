#include "nn/pyramid/fpn.h"

#include "ops/add.h"
#include "ops/max_pool2d.h"
#include "ops/resize_nearest.h"

namespace rmt::nn {

Fpn::Fpn(const std::vector<int64_t>& channels_of_maps, const FpnOptions& o) : options(o) {
  const ConvOptions filled{.fill = o.fill};
  const size_t maps = channels_of_maps.size();
  CHECK(o.first < maps, "FPN: begins at map ", o.first, " of ", maps);
  for (size_t i = o.first; i < maps; ++i)
    lateral.push_back(&add<Conv2d>(str("lateral_convs.", i - o.first, ".conv"), channels_of_maps[i],
                                   o.channels, 1, 1, 0, filled));
  for (size_t i = 0; i < lateral.size(); ++i)
    output.push_back(
        &add<Conv2d>(str("fpn_convs.", i, ".conv"), o.channels, o.channels, 3, 1, 1, filled));
  for (int64_t i = 0; i < o.convolved; ++i)
    output.push_back(&add<Conv2d>(str("fpn_convs.", output.size(), ".conv"),
                                  i == 0 ? channels_of_maps.back() : o.channels, o.channels, 3, 2,
                                  1, filled));
}

Maps Fpn::forward(const Maps& maps) {
  const size_t n = lateral.size();
  CHECK(maps.size() == options.first + n, "FPN: got ", maps.size(), " maps, expected ",
        options.first + n);
  Maps l;
  for (size_t i = 0; i < n; ++i) l.push_back(lateral[i]->forward(maps[options.first + i]));
  for (size_t i = n - 1; i > 0; --i)
    l[i - 1] = ops::add(l[i - 1], ops::resize_nearest(l[i], l[i - 1].dim(1), l[i - 1].dim(2)));
  Maps levels;
  for (size_t i = 0; i < n; ++i) levels.push_back(output[i]->forward(l[i]));
  for (int64_t i = 0; i < options.pooled; ++i)
    levels.push_back(ops::max_pool2d(levels.back(), 1, 2, 0));
  for (size_t i = n; i < output.size(); ++i)
    levels.push_back(output[i]->forward(i == n ? maps.back() : levels.back()));
  return levels;
}

}  // namespace rmt::nn
