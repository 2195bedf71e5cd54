#include "core/tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/cuda/device.h"
#include "core/parallel.h"

namespace rmt {
namespace {

template <class To, class From>
To convert(From x) {
  if constexpr (std::is_same_v<From, bf16>)
    return convert<To>(float(x));
  else if constexpr (std::is_same_v<To, bf16>)
    return bf16(float(x));
  else
    return static_cast<To>(x);
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  double elements = 1;
  for (int64_t d : shape) {
    CHECK(d >= 0, "empty: shape ", shape, " has a negative extent");
    elements *= double(d);
  }
  CHECK(elements < 1e15, "empty: shape ", shape, " is larger than any memory");
  Tensor x;
  x.storage_ = std::make_shared<Storage>(size_t(shape.numel()) * size_of(dtype), device);
  x.shape_ = shape;
  x.dtype_ = dtype;
  return x;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor x = empty(shape, dtype, device);
  if (device == Device::cuda)
    cuda::zero(x.raw(), x.nbytes());
  else
    std::memset(x.raw(), 0, x.nbytes());
  return x;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor x = empty(shape, dtype, device);
  x.fill(value);
  return x;
}

Tensor Tensor::view(const Shape& shape) const {
  CHECK(defined(), "view: undefined tensor");
  CHECK(!node,
        "view: this tensor is on the tape and its gradient would be lost; use ops::view, or "
        "detach() first");
  Shape s = shape;
  for (int i = 0; i < s.rank(); ++i)
    if (s[i] == -1) {
      s.set(i, 1);
      s.set(i, s.numel() ? numel() / s.numel() : 0);
      break;
    }
  CHECK(s.numel() == numel(), "view: shape ", shape_, " has ", numel(),
        " elements and cannot be seen as ", shape);
  Tensor x = *this;
  x.shape_ = s;
  return x;
}

Tensor Tensor::slice(int64_t begin, int64_t end) const {
  CHECK(defined() && rank() > 0, "slice: needs a tensor with at least one dimension");
  CHECK(!node,
        "slice: this tensor is on the tape and its gradient would be lost; use ops::slice, or "
        "detach() first");
  CHECK(0 <= begin && begin <= end && end <= dim(0), "slice: [", begin, ", ", end,
        ") is not inside shape ", shape_);
  Tensor x = *this;
  x.shape_.set(0, 1);
  x.offset_ += size_t(begin * x.shape_.numel()) * size_of(dtype_);
  x.shape_.set(0, end - begin);
  return x;
}

Tensor Tensor::detach() const {
  Tensor x = *this;
  x.node = nullptr;
  return x;
}

Tensor Tensor::clone() const {
  if (!defined()) return {};
  Tensor x = empty_like(*this);
  x.copy_from(*this);
  return x;
}

Tensor Tensor::to(DType dtype) const {
  if (!defined() || dtype == dtype_) return detach();
  Tensor x = empty(shape_, dtype, device());
  x.copy_from(*this);
  return x;
}

Tensor Tensor::to(Device device) const {
  if (!defined() || device == this->device()) return detach();
  Tensor x = empty(shape_, dtype_, device);
  x.copy_from(*this);
  return x;
}

void Tensor::copy_from(const Tensor& x) const {
  CHECK(defined() && x.defined() && numel() == x.numel(), "copy_from: shape ", x.shape(),
        " does not fill shape ", shape_);
  if (dtype_ == x.dtype_) return cuda::copy(raw(), device(), x.raw(), x.device(), nbytes());
  if (device() != x.device()) return copy_from(x.to(device()));  // converts where the result is
  if (device() == Device::cuda) return cuda::convert(x.raw(), x.dtype_, raw(), dtype_, numel());
  with_type(dtype_, [&](auto to) {
    with_type(x.dtype_, [&](auto from) {
      using To = decltype(to);
      using From = decltype(from);
      std::transform(x.data<From>(), x.data<From>() + x.numel(), data<To>(),
                     [](From v) { return convert<To>(v); });
    });
  });
}

void Tensor::add_from(const Tensor& x) const {
  CHECK(numel() == x.numel() && dtype_ == x.dtype_ && device() == x.device(),
        "add_from: ", x.dtype_, " ", x.shape_, " on ", x.device(), " cannot be added into ", dtype_,
        " ", shape_, " on ", device());
  if (device() == Device::cuda) return cuda::add(raw(), x.raw(), dtype_, numel());
  with_type(dtype_, [&](auto t) {
    using T = decltype(t);
    T *sum = data<T>(), *more = x.data<T>();
    parallel_for(numel(), 1 << 15, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sum[i] = T(Wide<T>(sum[i]) + Wide<T>(more[i]));
    });
  });
}

void Tensor::fill(double value) const {
  if (device() == Device::cuda) return cuda::fill(raw(), dtype_, value, numel());
  with_type(dtype_, [&](auto t) {
    std::fill_n(data<decltype(t)>(), numel(), convert<decltype(t)>(value));
  });
}

bool Tensor::all_finite() const {
  if (!defined()) return true;
  if (device() == Device::cuda) return cuda::all_finite(raw(), dtype_, numel());
  bool finite = true;
  with_type(dtype_, [&](auto t) {
    using T = decltype(t);
    if constexpr (!std::is_integral_v<T>)
      finite = std::all_of(data<T>(), data<T>() + numel(),
                           [](T v) { return std::isfinite(Wide<T>(v)); });
  });
  return finite;
}

}  // namespace rmt
