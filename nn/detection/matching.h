// Matching: which object, if any, a box (an anchor, a proposal) is to find. What training compares
// the network's answer for that box with.
#pragma once
#include <vector>

#include "nn/detection/box.h"

namespace rmt::nn {

// What is written in the place of an object's index.
constexpr int64_t kBackground = -1;  // the box is to find nothing
constexpr int64_t kUnsure = -2;      // neither near an object nor far from all: not learned from

struct MatchRule {
  double positive;  // an IoU from here on: the box is to find the object
  double negative;  // the largest IoU below this: background
  // Also the boxes nearest to an object are to find it, from this IoU on. Above 1: they are not.
  double nearest = 2;
};

// The rules of RetinaNet, of proposals, of Mask R-CNN's second stage, of a cascade's three.
constexpr MatchRule kRetinaRule{.5, .4, 0}, kProposalRule{.7, .3, .3}, kBoxRule{.5, .5, .5};
constexpr MatchRule kCascadeRules[3] = {{.5, .5}, {.6, .6}, {.7, .7}};

// For each box the index of its object, kBackground or kUnsure, in this order:
//   1. the object with the largest IoU m (the first of equals), where m >= positive;
//      background where m < negative; else unsure
//   2. with `nearest`: for each object in order all boxes that share its largest IoU M are given to
//      it, where M >= nearest and M > 0. A later object takes from an earlier one.
// `considered`: boxes that are 0 there stay unsure and count for nothing. Empty: all count.
std::vector<int64_t> match(const std::vector<Box>& boxes, const std::vector<char>& considered,
                           const std::vector<Box>& objects, const MatchRule& rule);

}  // namespace rmt::nn
