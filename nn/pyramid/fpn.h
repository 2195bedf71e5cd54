// A feature pyramid network (Lin et al., 2017): the backbone's coarse maps know what is there, its
// fine ones where. From the top down each map is added to the next finer one, so that every level
// knows both and all have the same channels.
//
//   c_3 --1x1--> l_3 ---------------------3x3--> p_3
//                 |  nearest, twice as large
//   c_2 --1x1-->  +  = l_2 ---------------3x3--> p_2
//                 |
//   c_1 --1x1-->  +  = l_1 ---------------3x3--> p_1   ...
#pragma once
#include "nn/conv.h"
#include "nn/pyramid/pyramid.h"

namespace rmt::nn {

struct FpnOptions {
  int64_t channels = 256;
  size_t first = 0;  // the first of the backbone's maps that is used
  // Levels beyond those of the maps: of detectors. `pooled`: every second pixel of the level before
  // (Mask R-CNN's P6). `convolved`: 3x3 convolutions of stride 2, the first of the backbone's last
  // map, each other of the level before (RetinaNet's P6 and P7).
  int64_t pooled = 0, convolved = 0;
  Fill fill = fill_xavier_uniform;
};

// Names: lateral_convs.i.conv and fpn_convs.i.conv.
struct Fpn : Module {
  FpnOptions options;
  std::vector<Conv2d*> lateral, output;
  Fpn(const std::vector<int64_t>& channels_of_maps, const FpnOptions& o);

  // The backbone's maps -> levels (B, h, w, channels), the finest first.
  Maps forward(const Maps& maps);
};

}  // namespace rmt::nn
