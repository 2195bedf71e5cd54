// Rows of a table (V, C), by their numbers:
//
//   y_i = table[indices_i];   dtable_v = sum over the i with indices_i = v of dy_i
//
// The gradient scatters rows of dy. It is turned around: each row of dtable gathers the rows that
// are its own, in their order.
#include "ops/embedding.h"
#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // embedding.cu
template <class T>
void embedding_forward(const Wide<T>* table, const int64_t* indices, T* y, int64_t n, int64_t V,
                       int64_t C);
template <class T>
void embedding_backward(const T* dy, const int64_t* indices, Wide<T>* dtable, int64_t n, int64_t V,
                        int64_t C);
}  // namespace gpu

namespace cpu {
namespace {

using simd::View;

template <class T>
void embedding_forward(const T* table, const int64_t* indices, T* y, int64_t n, int64_t V,
                       int64_t C) {
  for (int64_t i = 0; i < n; ++i)
    CHECK(indices[i] >= 0 && indices[i] < V, "embedding: index ", indices[i], " at place ", i,
          " of ", n, " is not a row of the table, expected 0 to ", V - 1);
  simd::for_each_row(n, C, [=](int64_t i) { std::copy_n(table + indices[i] * C, C, y + i * C); });
}

// The places i sorted by their index, those of one index in order: of row v they are
// places[first[v]] ... places[first[v + 1] - 1].
struct PlacesOfRows {
  std::vector<int64_t> first, places;
  PlacesOfRows(const int64_t* indices, int64_t n, int64_t V) : first(V + 1), places(n) {
    for (int64_t i = 0; i < n; ++i) ++first[indices[i] + 1];
    for (int64_t v = 0; v < V; ++v) first[v + 1] += first[v];
    std::vector<int64_t> next = first;
    for (int64_t i = 0; i < n; ++i) places[next[indices[i]]++] = i;
  }
};

template <class T>
void embedding_backward(View<const T> dy, const int64_t* indices, T* dtable, int64_t n, int64_t V,
                        int64_t C) {
  const PlacesOfRows rows(indices, n, V);
  simd::for_each_row(V, C, [=, &rows](int64_t v) {
    const int64_t* places = rows.places.data() + rows.first[v];
    const auto add_row = [=](int64_t i, View<T> sums) {
      simd::for_columns<T>(C, [&](auto c) { sums[c] += dy(places[i], c); });
    };
    const std::vector<double> sums =
        simd::sum_rows<T>(rows.first[v + 1] - rows.first[v], C, C, add_row);
    for (int64_t c = 0; c < C; ++c) dtable[v * C + c] = T(sums[c]);
  });
}

}  // namespace
}  // namespace cpu

Tensor ops::embedding(const Tensor& table, const Tensor& indices, std::optional<DType> dtype) {
  expect_defined("embedding", "table", table);
  expect_defined("embedding", "indices", indices);
  CHECK(table.rank() == 2 && table.dim(1) > 0, "embedding: the table is ", table.shape(),
        ", expected (V, C) with C > 0");
  CHECK(indices.dtype() == DType::i64, "embedding: indices ", indices.shape(), " are ",
        indices.dtype(), ", expected i64");
  const DType type = dtype.value_or(table.dtype());
  CHECK(table.dtype() == wide(type), "embedding: the table is ", table.dtype(), ", expected ",
        wide(type), " for a result in ", type);
  const int64_t n = indices.numel(), V = table.dim(0), C = table.dim(1);
  Shape shape = indices.shape();
  shape.push_back(C);
  Tensor y = Tensor::empty(shape, type, table.device());
  DISPATCH(y, embedding_forward, table, indices, y, n, V, C);
  return record(
      "embedding", y, {table},
      [indices = indices.detach(), parameter = table.dtype(), n, V, C](const Tensor& dy) -> Grads {
        Tensor dtable = Tensor::empty({V, C}, parameter, dy.device());
        DISPATCH(dy, embedding_backward, dy, indices, dtable, n, V, C);
        return {dtable};
      });
}

}  // namespace rmt
