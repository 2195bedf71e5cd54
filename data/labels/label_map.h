// The label map of one picture: a grid of h x w cells that lie over the picture as the squares of a
// chess board lie over the board, and for each cell the T largest logits of a teacher with their
// classes. What mirrors or moves the picture mirrors or moves its map:
//
//   mirrored:  y[i, j] = x[i, w - 1 - j]
//   moved:     y[i, j] = x[floor(q), floor(p)],  (p, q) = m(j + 1/2, i + 1/2)
//
// A cell is taken whole: logits and classes of two cells cannot be averaged.
#pragma once
#include <cstdint>
#include <vector>

#include "data/images/augment.h"

namespace rmt::data {

struct LabelMap {
  int64_t height = 0, width = 0, top = 0;  // h rows, w columns, T logits a cell
  std::vector<float> values;               // (h, w, T), row-major: logits
  std::vector<int32_t> classes;            // (h, w, T): the class of each
};

// The columns in reverse order, as the picture's are when it is mirrored.
LabelMap mirrored(const LabelMap& map);

// The cell of the result with centre (x, y) is the source's cell that contains m(x, y). Unit: cells
// of the map, centres at halves. A cell from outside has the value 0 for each of the classes
// 0 ... T - 1: it says nothing.
LabelMap moved(const LabelMap& map, const Affine& m);

// What apply_step() of data/images/augment.h does to a picture of width x height pixels, done to
// the map that lies over it. Colours leave the map as it is.
LabelMap apply_step(const AugmentStep& step, const LabelMap& map, int64_t width, int64_t height);

// A movement of a picture of width x height pixels in cells of a map that lies over it: S m S^-1,
// where S scales pixels to cells.
Affine in_cells(const Affine& m, int64_t width, int64_t height, const LabelMap& map);

}  // namespace rmt::data
