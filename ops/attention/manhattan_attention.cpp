// The op: checks, the choice of kernel, the record for backward. The formulas, from the simplest
// telling on: definition.h; README.md derives the gradient; the CPU's kernels are in cpu.h, the
// GPU's in manhattan_attention.cu.
#include "ops/attention/manhattan_attention.h"

#include "ops/attention/cpu.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/multiply_adds.h"

namespace rmt {
namespace gpu {  // manhattan_attention.cu
template <class T>
void manhattan_attention_forward(const T* q, const T* k, const T* v, const Wide<T>* decay,
                                 const Wide<T>* rotary, T* y, const Lines& lines);
template <class T>
void manhattan_attention_backward(const T* q, const T* k, const T* v, const Wide<T>* decay,
                                  const Wide<T>* rotary, const T* dy, T* dq, T* dk, T* dv,
                                  const Lines& lines);
}  // namespace gpu

Tensor ops::manhattan_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                const Tensor& decay, const Tensor& rotary,
                                const ManhattanOptions& options) {
  const char* op = "manhattan_attention";
  CHECK(q.defined() && q.rank() == 4 && q.dim(3) > 0, op, ": q is ", q.shape(),
        ", expected (B, H, W, C) with C > 0");
  expect(op, "k", k, q.shape(), q.dtype());
  expect(op, "v", v, q.shape(), q.dtype());
  const int64_t H = q.dim(1), W = q.dim(2), C = q.dim(3), heads = options.heads;
  CHECK(heads > 0 && C % heads == 0, op, ": ", C, " channels cannot be divided among ", heads,
        " heads");
  const int64_t D = C / heads;
  if (decay.defined()) expect(op, "decay", decay, {heads}, wide(q.dtype()));
  CHECK(!decay.node, op, ": decay has no gradient; detach() it");
  if (rotary.defined()) expect(op, "rotary", rotary, {H * W, D}, wide(q.dtype()));
  CHECK(!rotary.defined() || D % 2 == 0, op, ": rotary turns pairs of channels, but a head has ", D,
        "; give an even number, or no rotary");
  CHECK(!rotary.node, op, ": rotary has no gradient; detach() it");

  const Lines lines{q.dim(0), H, W, heads, D, options.axis, options.mode};
  Tensor y = Tensor::empty_like(q);
  if (q.numel() > 0) DISPATCH(q, manhattan_attention_forward, q, k, v, decay, rotary, y, lines);
  count_multiply_adds(2 * lines.units() * lines.n() * lines.n() * D);  // scores, and values
  // No L x L tensor is kept: backward makes A again from q and k.
  return record(
      op, y, {q, k, v},
      [q = q.detach(), k = k.detach(), v = v.detach(), decay, rotary,
       lines](const Tensor& dy) -> Grads {
        Tensor dq = Tensor::empty_like(q), dk = Tensor::empty_like(k), dv = Tensor::empty_like(v);
        if (q.numel() > 0)
          DISPATCH(q, manhattan_attention_backward, q, k, v, decay, rotary, dy, dq, dk, dv, lines);
        return {dq, dk, dv};
      });
}

}  // namespace rmt
