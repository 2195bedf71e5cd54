// Recompute instead of remember: the memory of one block's insides for the time of a second
// forward.
#pragma once
#include <functional>

#include "autograd/tape.h"

namespace rmt {

// y = f(x), of which only x is kept; backward runs f again, this time recording, and goes through
// it. f must be a pure function of x and of the leaves it captures: draws no fresh random numbers,
// updates no statistics.
Tensor checkpoint(const std::function<Tensor(const Tensor&)>& f, const Tensor& x);

}  // namespace rmt
