// Three forms, one function; let R(x, y, z)_n = sum over m <= n of gamma^(n-m) (x_n . y_m) z_m, and
// R' the same over m >= n, of gamma^(m-n):
//
//   y = R(q, k, v);   dq = R(dy, v, k),   dk = R'(v, dy, q),   dv = R'(k, q, dy)
//
// The gradients are retentions (README.md derives them), so one kernel that can walk either way is
// all of forward and backward. The CPU's forms: parallel.h, chunkwise.h, recurrent.h.
#include "ops/retention/retention.h"

#include <algorithm>

#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/multiply_adds.h"
#include "ops/retention/chunkwise.h"
#include "ops/retention/recurrent.h"

namespace rmt {
namespace gpu {  // retention.cu
template <class T>
void retention(const T* q, const T* k, const T* v, const Wide<T>* decay, T* y, const Sequences& s);
}  // namespace gpu

namespace cpu {
namespace {

template <class T>
void retention(const T* q, const T* k, const T* v, const T* decay, T* y, const Sequences& s) {
  const auto retain = s.form == ops::RetentionForm::parallel    ? retain_parallel<T>
                      : s.form == ops::RetentionForm::chunkwise ? retain_chunkwise<T>
                                                                : retain_recurrent<T>;
  // A piece of work: some 2^17 numbers.
  const int64_t grain = std::max<int64_t>(1, (1 << 17) / (s.L * (s.D + s.E)));
  parallel_for(s.units(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit)
      retain(s.walk(q, s.D, unit), s.walk(k, s.D, unit), s.walk(v, s.E, unit),
             double(decay[unit % s.heads]), s.walk(y, s.E, unit), s);
  });
}

}  // namespace
}  // namespace cpu

namespace {

// R(x, y, z), or R'(x, y, z) with `reverse`; x and y have D channels a head, z has E.
Tensor retain(const Tensor& x, const Tensor& y, const Tensor& z, const Tensor& decay, Sequences s,
              bool reverse) {
  Tensor out = Tensor::empty_like(z);
  s.D = x.shape()[-1] / s.heads;
  s.E = z.shape()[-1] / s.heads;
  s.reverse = reverse;
  if (out.numel() > 0) DISPATCH(x, retention, x, y, z, decay, out, s);
  return out;
}

// Of a sequence: two for each pair of tokens m <= n that are multiplied, a score and its value, and
// two for each token and number of the state, which is written and read.
int64_t multiply_adds(const Sequences& s, int64_t C, int64_t Cv) {
  const auto pairs = [](int64_t n) { return n * (n + 1) / 2; };
  const int64_t of_state = 2 * s.L * C / s.heads * Cv, chunk = std::min(s.chunk, s.L);
  if (s.form == ops::RetentionForm::parallel) return pairs(s.L) * (C + Cv);
  if (s.form == ops::RetentionForm::recurrent || s.L == 0) return of_state;
  return (s.L / chunk * pairs(chunk) + pairs(s.L % chunk)) * (C + Cv) + of_state;
}

}  // namespace

Tensor ops::retention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& decay,
                      const RetentionOptions& options) {
  const char* op = "retention";
  expect_defined(op, "q", q);
  CHECK((q.rank() == 3 || q.rank() == 4) && q.shape()[-1] > 0, op, ": q is ", q.shape(),
        ", expected (B, L, C) or (B, H, W, C) with C > 0");
  expect(op, "k", k, q.shape(), q.dtype());
  expect_defined(op, "v", v);
  Shape like_q = q.shape();
  like_q.set(-1, v.rank() > 0 ? v.shape()[-1] : 0);
  expect(op, "v", v, like_q, q.dtype());
  const int64_t C = q.shape()[-1], Cv = v.shape()[-1], heads = options.heads;
  CHECK(heads > 0 && C % heads == 0 && Cv > 0 && Cv % heads == 0, op, ": ", C,
        " channels of q and ", Cv, " of v cannot be divided among ", heads, " heads");
  expect(op, "decay", decay, {heads}, wide(q.dtype()));
  CHECK(!decay.node, op, ": decay has no gradient; detach() it");
  CHECK(options.chunk >= 1, op, ": chunks of ", options.chunk, " positions, expected at least 1");

  const int64_t B = q.dim(0), L = q.rank() == 3 ? q.dim(1) : q.dim(1) * q.dim(2);
  const Sequences s{B, L, heads, 0, 0, options.chunk, options.form};
  count_multiply_adds(B * multiply_adds(s, C, Cv));
  return record(
      op, retain(q, k, v, decay, s, false), {q, k, v},
      [q = q.detach(), k = k.detach(), v = v.detach(), decay, s](const Tensor& dy) -> Grads {
        return {retain(dy, v, k, decay, s, false), retain(v, dy, q, decay, s, true),
                retain(k, q, dy, decay, s, true)};
      });
}

}  // namespace rmt
