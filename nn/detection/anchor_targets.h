// What heads that answer for anchors have in common: the anchors of their maps, and what training
// compares the answers with.
#pragma once
#include "nn/detection/anchors.h"
#include "nn/detection/detector.h"
#include "nn/detection/matching.h"
#include "nn/pyramid/pyramid.h"

namespace rmt::nn {

// What a head says of the A anchors at each pixel of a level, in A's order: K numbers each about
// what is there, (B, h, w, A K), and four about where, (B, h, w, 4 A).
struct AnchorOutputs {
  Maps scores, deltas;
};

// The anchors of all levels of a batch's maps, one level behind the other.
struct LevelAnchors {
  AnchorRule rule;
  std::vector<std::array<int64_t, 2>> sizes;  // h, w of each level
  std::vector<std::vector<Box>> of_level;
  LevelAnchors(const AnchorRule& r, const Maps& maps);
  std::vector<Box> all() const;
  std::vector<char> valid(const ImageSize& size) const;  // anchors.h, of all levels
};

// Of one level, for all anchors of all images: B n rows in the order of the maps.
struct LevelTargets {
  Tensor labels;   // (B n) i64: of the object; K: background; -1: not learned from
  Tensor present;  // (B n): 1 where there is an object
  Tensor used;     // (B n): 1 where learned from, background too
  Tensor deltas;   // (B n, 4): from the anchor to the object, else 0
};

// matched: for each image the object of each anchor of all levels (match() or what a sampler leaves
// of it). Floats are of `like`'s dtype; all lie on its device.
std::vector<LevelTargets> anchor_targets(const LevelAnchors& anchors,
                                         const std::vector<std::vector<int64_t>>& matched,
                                         const std::vector<GroundTruth>& truth, int64_t K,
                                         const Tensor& like);

// Of scores (n, K) the indices of the `most` rows with the largest score of any column, the largest
// first and equal ones in their order; all n in their order where these are not more. A row of nan
// alone comes last.
std::vector<int64_t> best_rows(const double* scores, int64_t n, int64_t K, int64_t most);

// All elements, in double on the host, off the tape; a GPU is waited for.
std::vector<double> numbers(const Tensor& x);
// Four of such numbers: those of row i of (n, 4).
Delta delta_at(const double* deltas, int64_t i);
// Numbers become a tensor of `like`'s dtype and on its device.
Tensor tensor_of(const std::vector<double>& values, const Shape& shape, const Tensor& like);

}  // namespace rmt::nn
