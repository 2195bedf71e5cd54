// Too little memory on a GPU: what was wanted, what there is, and which batch would have fitted.
#pragma once
#include <functional>
#include <string>

#include "core/cuda/device.h"
#include "data/loader.h"

namespace rmt::train {

// The largest number of images below `batch` for which run(n) finds memory; 0 when not one does.
// Nothing is estimated from the model: n is halved until run(n) comes through, then raised by as
// many images as fit into what was left, by what each of the second half of n needed.
int64_t batch_that_fits(int64_t batch, const std::function<void(int64_t)>& run);

// Throws `e` again, saying that `what` did not fit and the value of `flag` for which it does.
[[noreturn]] void throw_with_batch_that_fits(const OutOfMemory& e, const std::string& what,
                                             const char* flag, int64_t batch,
                                             const std::function<void(int64_t)>& run);

// The first n images of a batch, in the same storage.
data::Batch first_images(const data::Batch& batch, int64_t n);

}  // namespace rmt::train
