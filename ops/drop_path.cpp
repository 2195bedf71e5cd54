// Stochastic depth: which samples skip a branch of the network in this step.
//
//   s_lb = 0 if u_lb < rate, else 1 / (1 - rate)
//
// where u_lb, uniform in [0, 1), is Philox of (seed, step, layer + l, first_sample + b).
#include "ops/drop_path.h"
#include "core/random.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // drop_path.cu
template <class T>
void drop_path_factors(T* s, const int64_t* step, int64_t layers, int64_t B,
                       const ops::DropPathOptions& o);
}  // namespace gpu

namespace cpu {
namespace {

template <class T>
void drop_path_factors(T* s, const int64_t* step, int64_t layers, int64_t B,
                       const ops::DropPathOptions& o) {
  for (int64_t l = 0; l < layers; ++l)
    for (int64_t b = 0; b < B; ++b) {
      Random random(o.seed, Purpose::drop_path, uint64_t(*step),
                    uint64_t((o.layer + l) << 24 | (o.first_sample + b)));
      s[l * B + b] = T(random.uniform() < o.rate ? 0 : 1 / (1 - o.rate));
    }
}

}  // namespace
}  // namespace cpu

void ops::drop_path_factors(const Tensor& s, const Tensor& step, const DropPathOptions& o) {
  CHECK(s.defined() && s.rank() == 2, "drop_path_factors: s is ", s.shape(),
        ", expected (layers, B)");
  expect("drop_path_factors", "step", step, {}, DType::i64);
  CHECK(o.rate >= 0 && o.rate < 1, "drop_path_factors: rate ", o.rate, " is not in [0, 1)");
  DISPATCH(s, drop_path_factors, s, step, s.dim(0), s.dim(1), o);
}

}  // namespace rmt
