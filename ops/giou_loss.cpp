// Boxes decoded from deltas against targets. With I the area that both have in common, A and T
// their own areas, U = A + T - I and E the area of the smallest box around both,
//
//   y = 1 / n sum (1 - GIoU),   1 - GIoU = 2 - I / U - U / E
//   d(1 - GIoU) = -dI / U + (I / U^2 - 1 / E) (dA - dI) + U / E^2 dE
//
// n is the normaliser; where U or E is held at 1e-6, it has no derivative. I, A and E are products
// of a length along x and one along y. Along x, for a box from p to q and a target from u to v,
// these are max(min(q, v) - max(p, u), 0), q - p and max(q, v) - min(p, u), whose derivatives by p
// and q are -1, 0 or 1. From there, with prior the length of the box that the deltas change,
//
//   q, p = middle + prior s_x d_x +- l / 2,   l = prior exp(s_w d_w)
//   dq/dd_x = dp/dd_x = prior s_x,   dq/dd_w = -dp/dd_w = s_w l / 2, or 0 outside of the clamp
//
// with the stds s. Along y likewise.
#include "ops/giou_loss.h"

#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/giou.h"
#include "ops/kernels/mean_loss.h"

namespace rmt {
namespace gpu {  // giou_loss.cu
template <class T>
void giou_loss_forward(const T* deltas, const Wide<T>* boxes, const Wide<T>* targets, Wide<T>* y,
                       int64_t N, const BoxStds& stds, double normaliser);
template <class T>
void giou_loss_backward(const T* deltas, const Wide<T>* boxes, const Wide<T>* targets,
                        const Wide<T>* dy, T* dx, int64_t N, const BoxStds& stds,
                        double normaliser);
}  // namespace gpu

namespace cpu {
namespace {

// About as much work for a box as for so many numbers.
constexpr int64_t kCost = 128;

template <class T>
void giou_loss_forward(const T* deltas, const T* boxes, const T* targets, T* y, int64_t N,
                       const BoxStds& stds, double normaliser) {
  const double total = sum_of_rows(N, kCost, [=](int64_t i) {
    return Giou(deltas + 4 * i, boxes + 4 * i, targets + 4 * i, stds).loss;
  });
  *y = T(total / normaliser);
}

template <class T>
void giou_loss_backward(const T* deltas, const T* boxes, const T* targets, const T* dy, T* dx,
                        int64_t N, const BoxStds& stds, double normaliser) {
  const double scale = double(*dy) / normaliser;
  simd::for_each_row(N, kCost, [=](int64_t i) {
    const Giou giou(deltas + 4 * i, boxes + 4 * i, targets + 4 * i, stds);
    for (int k = 0; k < 4; ++k) dx[4 * i + k] = T(scale * giou.slopes[k]);
  });
}

}  // namespace
}  // namespace cpu

// deltas boxes targets (N, 4)
Tensor ops::giou_loss(const Tensor& deltas, const Tensor& boxes, const Tensor& targets,
                      const std::array<double, 4>& stds, double normaliser) {
  expect_defined("giou_loss", "deltas", deltas);
  CHECK(deltas.rank() == 2 && deltas.dim(1) == 4, "giou_loss: deltas is ", deltas.shape(),
        ", expected (N, 4)");
  expect("giou_loss", "boxes", boxes, deltas.shape(), wide(deltas.dtype()));
  expect("giou_loss", "targets", targets, deltas.shape(), wide(deltas.dtype()));
  CHECK(!needs_grad({boxes, targets}),
        "giou_loss: boxes and targets have no gradient; detach() them");
  CHECK(normaliser > 0, "giou_loss: normaliser ", normaliser, ", expected more than 0");
  const int64_t N = deltas.dim(0);
  const BoxStds s{stds[0], stds[1], stds[2], stds[3]};
  Tensor y = Tensor::empty({}, targets.dtype(), deltas.device());
  DISPATCH(deltas, giou_loss_forward, deltas, boxes, targets, y, N, s, normaliser);
  return record("giou_loss", y, {deltas},
                [deltas = deltas.detach(), boxes = boxes.detach(), targets = targets.detach(), N, s,
                 normaliser](const Tensor& dy) -> Grads {
                  Tensor dx = Tensor::empty_like(deltas);
                  DISPATCH(deltas, giou_loss_backward, deltas, boxes, targets, dy, dx, N, s,
                           normaliser);
                  return {dx};
                });
}

}  // namespace rmt
