#include "train/memory.h"

#include <algorithm>

#include "core/cuda/pool.h"

namespace rmt::train {
namespace {

// Bytes that run(n) takes from the device; negative when there are not so many. In a pool of its
// own, as a recording has: what that pool holds in the end is what was needed, with what is lost
// between blocks.
int64_t bytes_for(int64_t n, const std::function<void(int64_t)>& run) {
  cuda::free_unused();
  const size_t before = cuda::free_memory();
  struct Redirect {
    cuda::Pool pool;
    cuda::Pool* outer = cuda::Pool::use(&pool);
    ~Redirect() { cuda::Pool::use(outer); }
  } redirect;
  try {
    run(n);
  } catch (const Error&) {
    return -1;
  }
  return int64_t(before - cuda::free_memory());
}

}  // namespace

int64_t batch_that_fits(int64_t batch, const std::function<void(int64_t)>& run) {
  cuda::free_unused();
  // Not all of it: larger blocks may leave larger gaps.
  const double there_is = 0.92 * double(cuda::free_memory());
  for (int64_t n = batch / 2; n > 0; n /= 2) {
    const int64_t bytes = bytes_for(n, run);
    if (bytes < 0) continue;
    const int64_t bytes_of_half = n > 1 ? bytes_for(n / 2, run) : 0;
    const double per_image = double(bytes - bytes_of_half) / double(n - n / 2);
    if (per_image <= 0 || bytes_of_half < 0) return n;
    const int64_t more = int64_t((there_is - double(bytes)) / per_image);
    return std::clamp(n + more, n, batch - 1);
  }
  return 0;
}

void throw_with_batch_that_fits(const OutOfMemory& e, const std::string& what, const char* flag,
                                int64_t batch, const std::function<void(int64_t)>& run) {
  const int64_t n = batch_that_fits(batch, run);
  throw OutOfMemory(e, str(what, ": ", e.what(),
                           n > 0 ? str("; ", flag, " ", n, " fits") : "; not even one image fits"));
}

data::Batch first_images(const data::Batch& b, int64_t n) {
  data::Batch out = b;
  for (Tensor data::Batch::*field : data::kBatchTensors)
    if (Tensor& x = out.*field; x.defined() && field != &data::Batch::mix) x = x.slice(0, n);
  auto shorten = [n](auto& list) {
    if (!list.empty()) list.resize(size_t(n));
  };
  shorten(out.indices);
  shorten(out.places);
  shorten(out.objects);
  return out;
}

}  // namespace rmt::train
