// Tensor: a cheap shared handle to a contiguous, row-major block of numbers on one device.
//
//     Tensor a   shape (2, 3)  f32  offset 0  ---+
//                                                +-->  Storage   | 0 1 2 3 4 5 |   on cpu or cuda
//     Tensor b   shape (3)     f32  offset 12 ---+
//                b = a.slice(1, 2).view({3})  holds  3 4 5
//
// There are no strides: views share a storage and stay contiguous, everything else copies. What can
// be computed with tensors are free functions in ops/; this file need not change for a new one.
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
  // Undefined: it has no storage.
  Tensor() = default;

  // Uninitialised; all zeros; all `value`.
  static Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32,
                     Device device = Device::cpu);
  static Tensor empty_like(const Tensor& x) { return empty(x.shape(), x.dtype(), x.device()); }
  static Tensor zeros_like(const Tensor& x) { return zeros(x.shape(), x.dtype(), x.device()); }
  // A copy of the values (row-major) on the CPU; their number must be shape.numel().
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
  // The one element, and all of them, copied to the host; from a GPU after waiting for it.
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
  // view does: use ops::slice there.
  Tensor slice(int64_t begin, int64_t end) const;

  // All of these are off the tape. detach: the same storage. clone: a storage of its own. to: a
  // copy of that dtype or on that device, or the same storage where nothing is to be done.
  Tensor detach() const;
  Tensor clone() const;
  Tensor to(DType dtype) const;
  Tensor to(Device device) const;

  // Write into this storage, which every view of it sees. copy_from: x's elements, converted, from
  // any device; as many as here. add_from: this += x, of the same dtype, numel and device.
  void copy_from(const Tensor& x) const;
  void add_from(const Tensor& x) const;
  void fill(double value) const;

  // Is no element infinite or NaN? True for integers.
  bool all_finite() const;
  // Do both handles show the same elements, at the same place of the tape?
  bool same_as(const Tensor& x) const {
    return storage_ == x.storage_ && offset_ == x.offset_ && shape_ == x.shape_ && node == x.node;
  }
  // Does no other handle share the storage, so that nobody else can see a write?
  bool sole_owner() const { return storage_.use_count() == 1; }

  // This value's place on the tape (autograd/tape.h), or null.
  std::shared_ptr<Node> node;

 private:
  std::shared_ptr<Storage> storage_;
  size_t offset_ = 0;  // of the first element in the storage, in bytes
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
