// Tensor: a cheap shared handle to a contiguous, row-major block of numbers on one device. No
// strides: views share storage and stay contiguous, all else copies. Operations on tensors are free
// functions in ops/; this file need not change for a new one.
#pragma once
#include <memory>
#include <vector>

#include "core/dtype.h"
#include "core/shape.h"
#include "core/storage.h"

namespace rmt {

struct Node;  // a place on the tape; defined by autograd/tape.h, opaque here

class Tensor {
 public:
  Tensor() = default;  // undefined: no storage

  static Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32,
                     Device device = Device::cpu);
  static Tensor empty_like(const Tensor& x) { return empty(x.shape(), x.dtype(), x.device()); }
  static Tensor zeros_like(const Tensor& x) { return zeros(x.shape(), x.dtype(), x.device()); }
  // Copies values (row-major); their number must be shape.numel(). On the CPU.
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int64_t dim(int i) const { return shape_[i]; }
  int rank() const { return shape_.rank(); }
  int64_t numel() const { return defined() ? shape_.numel() : 0; }
  DType dtype() const { return dtype_; }
  Device device() const { return storage_ ? storage_->device() : Device::cpu; }
  size_t nbytes() const { return size_t(numel()) * size_of(dtype_); }

  // The elements, for the host to read and write. data<T> throws unless T is the tensor's dtype and
  // the tensor is on the CPU; null for an undefined one.
  template <class T>
  T* data() const {
    CHECK(!defined() || dtype_of<T> == dtype_, "data: tensor is ", dtype_, ", asked for as ",
          dtype_of<T>);
    CHECK(device() == Device::cpu, "data: this tensor is on the GPU; copy it with to(Device::cpu)");
    return static_cast<T*>(raw());
  }
  // The address, on whichever device; null for an undefined tensor.
  void* raw() const { return storage_ ? static_cast<char*>(storage_->data()) + offset_ : nullptr; }
  // Copies to the host; from a GPU after waiting for it.
  template <class T>
  T item() const {
    CHECK(numel() == 1, "item: tensor of shape ", shape_, " has not exactly one element");
    return *to(Device::cpu).data<T>();
  }
  template <class T>
  std::vector<T> to_vector() const {
    const Tensor x = to(Device::cpu);
    return std::vector<T>(x.data<T>(), x.data<T>() + numel());
  }

  // Same storage, other extents (one may be -1). Refuses a tensor on the tape, whose gradient it
  // would drop: use ops::view there.
  Tensor view(const Shape& shape) const;
  // Same storage: elements [begin, end) of the first dimension. Refuses a tensor on the tape, as
  // view does.
  Tensor slice(int64_t begin, int64_t end) const;
  Tensor detach() const;         // same storage, off the tape
  Tensor clone() const;          // own storage, off the tape
  Tensor to(DType dtype) const;  // converted copy (itself when the dtype is the same), off the tape
  Tensor to(Device device) const;  // copy on that device (itself when it is there), off the tape
  void copy_from(const Tensor& x)
      const;  // x's elements, converted, from any device, into this storage; numel must agree
  void add_from(const Tensor& x) const;  // this += x, of the same dtype, numel and device
  void fill(double value) const;
  bool all_finite() const;  // true for integers

  bool same_as(const Tensor& x) const {
    return storage_ == x.storage_ && offset_ == x.offset_ && shape_ == x.shape_ && node == x.node;
  }
  bool sole_owner() const { return storage_.use_count() == 1; }  // nobody else can see a write

  std::shared_ptr<Node>
      node;  // this value's place on the tape, or null; autograd/ alone touches it

 private:
  std::shared_ptr<Storage> storage_;
  size_t offset_ = 0;  // bytes
  Shape shape_;
  DType dtype_ = DType::f32;
};

template <class T>
Tensor Tensor::from(const std::vector<T>& values, const Shape& shape) {
  CHECK(int64_t(values.size()) == shape.numel(), "from: ", values.size(),
        " values do not fill shape ", shape);
  Tensor x = empty(shape, dtype_of<T>);
  std::copy(values.begin(), values.end(), x.data<T>());
  return x;
}

}  // namespace rmt
