// Tiles y (R, P, P, C) of boxes on maps x. Rows and columns of a tile are independent, so that with
// the weights a_pi of cell i in row p of bins, and b_qj of cell j in column q of bins
// (kernels/roi_align.h),
//
//   y_rpq = sum_i a_pi sum_j b_qj x_ij;   dx_ij = sum_r sum_q b_qj sum_p a_pi dy_rpq
//
// Each inner sum is computed once for a row of the map and the box: a cell is read by one or two
// bins of an axis, and weighing it for each pair of them would cost several times as much. The
// gradient scatters tiles. It is turned around: each row of a map gathers what the boxes give it,
// in their order.
#include "ops/roi_align.h"

#include <algorithm>
#include <optional>

#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/rois.h"

namespace rmt {
namespace gpu {  // roi_align.cu
template <class T>
void roi_align_forward(const RoiMaps& m, const Wide<T>* rois, T* y);
template <class T>
void roi_align_backward(const T* dy, const Wide<T>* rois, const RoiMaps& m);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

// The cells of each bin along an axis and their weights, of which those of bin o begin at first[o].
template <class T>
struct Weights {
  std::vector<Range> cells;
  std::vector<size_t> first;
  std::vector<T> weights;
  Weights(const SampledAxis& axis, int64_t bins) {
    for (int o = 0; o < bins; ++o) {
      cells.push_back(axis.of(o));
      first.push_back(weights.size());
      for (int i = cells.back().begin; i < cells.back().end; ++i)
        weights.push_back(T(axis.weight(o, i)));
    }
  }
  bool reads(int64_t o, int i) const { return i >= cells[o].begin && i < cells[o].end; }
  T operator()(int64_t o, int i) const { return weights[first[o] + size_t(i - cells[o].begin)]; }
};

template <class T>
struct WeighedRoi : Roi {
  Weights<T> a, b;  // of rows, of columns
  WeighedRoi(const T* roi, const RoiMaps& m) : Roi(roi, m), a(rows, m.P), b(columns, m.P) {}
};

// line_q = sum_j b_qj x_ij, for a row x_i (W, C) of the map
template <class T>
void weigh_row(const Weights<T>& b, View<const T> x_i, View<T> line, const RoiMaps& m) {
  for (int64_t q = 0; q < m.P; ++q) {
    const Range cells = b.cells[q];
    const T* weights = b.weights.data() + b.first[q];
    simd::for_columns<T>(m.C, [&](auto c) {
      Vec<T> sum{};
      for (int j = cells.begin; j < cells.end; ++j) sum += weights[j - cells.begin] * x_i(j, c);
      line(q, c) = sum;
    });
  }
}

template <class T>
void add_scaled(int64_t n, T factor, View<const T> from, View<T> to) {
  simd::for_columns<T>(n, [=](auto i) { to[i] += factor * from[i]; });
}

template <class T>
void roi_align_forward(const RoiMaps& m, const T* rois, T* y) {
  const int64_t size = m.P * m.P * m.C, width = m.P * m.C;
  simd::for_rows(m.R, size, [=](int64_t begin, int64_t end) {
    std::vector<T> line(width);
    for (int64_t r = begin; r < end; ++r) {
      const WeighedRoi<T> roi(rois + 5 * r, m);
      const T* x = m.image<const T>(roi.level, roi.image);
      T* tile = y + r * size;
      std::fill_n(tile, size, T(0));
      for (int i = roi.row_cells.begin; i < roi.row_cells.end; ++i) {
        weigh_row<T>(roi.b, x + int64_t(i) * m.columns[roi.level] * m.C, line.data(), m);
        for (int64_t p = 0; p < m.P; ++p)
          if (roi.a.reads(p, i)) add_scaled<T>(width, roi.a(p, i), line.data(), tile + p * width);
      }
    }
  });
}

// Adds to a row dx_i (W, C) of the map what the tile dy of one box gives it.
template <class T>
void add_tile(const WeighedRoi<T>& roi, int i, const T* dy, T* dx_i, T* line, const RoiMaps& m) {
  const int64_t width = m.P * m.C;
  std::fill_n(line, width, T(0));
  for (int64_t p = 0; p < m.P; ++p)
    if (roi.a.reads(p, i)) add_scaled<T>(width, roi.a(p, i), dy + p * width, line);
  for (int64_t q = 0; q < m.P; ++q)
    for (int j = roi.b.cells[q].begin; j < roi.b.cells[q].end; ++j)
      add_scaled<T>(m.C, roi.b(q, j), line + q * m.C, dx_i + j * m.C);
}

template <class T>
void roi_align_backward(const T* dy, const T* rois, const RoiMaps& m) {
  std::vector<std::optional<WeighedRoi<T>>> weighed(m.R);
  parallel_for(m.R, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) weighed[r].emplace(rois + 5 * r, m);
  });
  std::vector<std::vector<int64_t>> of_image(m.levels * m.B);  // the boxes of a map, in order
  for (int64_t r = 0; r < m.R; ++r)
    of_image[weighed[r]->level * m.B + weighed[r]->image].push_back(r);
  for (int level = 0; level < m.levels; ++level) {
    if (!m.at[level]) continue;
    const int64_t H = m.rows[level], length = m.columns[level] * m.C;
    parallel_for(m.B * H, 1, [&, level](int64_t begin, int64_t end) {
      std::vector<T> line(m.P * m.C);
      for (int64_t row = begin; row < end; ++row) {
        const int i = int(row % H);
        T* dx_i = m.image<T>(level, row / H) + i * length;
        std::fill_n(dx_i, length, T(0));
        for (int64_t r : of_image[level * m.B + row / H]) {
          const Range cells = weighed[r]->row_cells;
          if (i >= cells.begin && i < cells.end)
            add_tile(*weighed[r], i, dy + r * m.P * m.P * m.C, dx_i, line.data(), m);
        }
      }
    });
  }
}

template <class T>
void check_rois(const T* roi, const RoiMaps& m) {
  for (int64_t r = 0; r < m.R; ++r, roi += 5)
    CHECK(is_roi(roi, m.B), "roi_align: box ", r, " is {", roi[0], ", ", roi[1], ", ", roi[2], ", ",
          roi[3], ", ", roi[4], "}, expected {image, x1, y1, x2, y2} with an image of 0 ... ",
          m.B - 1, " and coordinates up to 2^20");
}

}  // namespace
}  // namespace cpu

namespace {

RoiMaps expect_maps(const std::vector<Tensor>& maps, const std::vector<int64_t>& strides) {
  CHECK(!maps.empty() && maps.size() <= kMostLevels && maps.size() == strides.size(),
        "roi_align: ", maps.size(), " maps and ", strides.size(), " strides, expected 1 to ",
        kMostLevels, " of both");
  RoiMaps m{};
  m.levels = int(maps.size());
  for (size_t l = 0; l < maps.size(); ++l) {
    const Tensor &x = maps[l], &first = maps[0];
    expect_defined("roi_align", "one of the maps", x);
    CHECK(x.rank() == 4 && x.dim(1) > 0 && x.dim(2) > 0 && x.dim(3) > 0 && x.dim(1) < 1 << 20 &&
              x.dim(2) < 1 << 20,
          "roi_align: map ", l, " is ", x.shape(),
          ", expected (B, H, W, C) with H, W from 1 to 2^20 and C > 0");
    CHECK(x.dim(0) == first.dim(0) && x.dim(3) == first.dim(3) && x.dtype() == first.dtype() &&
              x.device() == first.device(),
          "roi_align: map ", l, " is ", x.dtype(), " ", x.shape(), " on ", x.device(),
          ", the first ", first.dtype(), " ", first.shape(), " on ", first.device(),
          "; only the sizes of maps may differ");
    CHECK(strides[l] > 0, "roi_align: stride ", strides[l], " of map ", l);
    m.rows[l] = int(x.dim(1));
    m.columns[l] = int(x.dim(2));
    m.stride[l] = double(strides[l]);
    m.at[l] = x.raw();
  }
  m.B = maps[0].dim(0);
  m.C = maps[0].dim(3);
  return m;
}

}  // namespace

// maps (B, H_l, W_l, C), rois (R, 5) -> (R, P, P, C)
Tensor ops::roi_align(const std::vector<Tensor>& maps, const std::vector<int64_t>& strides,
                      const Tensor& rois, int64_t P) {
  RoiMaps m = expect_maps(maps, strides);
  expect_defined("roi_align", "rois", rois);
  expect("roi_align", "rois", rois, {rois.rank() > 0 ? rois.dim(0) : 0, 5}, wide(maps[0].dtype()));
  CHECK(!needs_grad(rois), "roi_align: rois have no gradient; detach() them");
  CHECK(P > 0 && P <= 1024, "roi_align: tiles of ", P, " x ", P, ", expected 1 to 1024");
  m.R = rois.dim(0);
  m.P = P;
  if (rois.device() == Device::cpu) {
    if (rois.dtype() == DType::f64)
      cpu::check_rois(rois.data<double>(), m);
    else
      cpu::check_rois(rois.data<float>(), m);
  }
  const Tensor& x = maps[0];
  Tensor y = Tensor::empty({m.R, P, P, m.C}, x.dtype(), x.device());
  DISPATCH(x, roi_align_forward, m, rois, y);
  std::vector<Shape> shapes;
  std::vector<bool> wanted;
  for (const Tensor& map : maps) {
    shapes.push_back(map.shape());
    wanted.push_back(needs_grad(map));
  }
  return record("roi_align", y, maps,
                [m, shapes, wanted, rois = rois.detach()](const Tensor& dy) -> Grads {
                  RoiMaps gradients = m;
                  Grads dxs(shapes.size());
                  for (size_t l = 0; l < shapes.size(); ++l) {
                    if (wanted[l]) dxs[l] = Tensor::empty(shapes[l], dy.dtype(), dy.device());
                    gradients.at[l] = dxs[l].raw();
                  }
                  DISPATCH(dy, roi_align_backward, dy, rois, gradients);
                  return dxs;
                });
}

}  // namespace rmt
