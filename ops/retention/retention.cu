// retention.cpp's three forms; each is in a file of its own.
#include "ops/retention/chunkwise.cuh"
#include "ops/retention/recurrent.cuh"

namespace rmt::gpu {

template <class T>
void retention(const T* q, const T* k, const T* v, const Wide<T>* decay, T* y,
               const Sequences& sequences) {
  Sequences s = sequences;
  if (s.form == ops::RetentionForm::recurrent) return retain_recurrent(q, k, v, decay, y, s);
  const bool one_chunk = s.form == ops::RetentionForm::parallel || s.chunk >= s.L;
  if (!one_chunk) return retain_chunkwise(q, k, v, decay, y, s);
  s.chunk = s.L;
  retain_parallel<T>(q, k, v, decay, nullptr, y, s);
}

INSTANTIATE(retention)

}  // namespace rmt::gpu
