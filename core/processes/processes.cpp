#include "core/processes/processes.h"

namespace rmt {
namespace {

bool can_add(DType t) { return t != DType::bf16 && t != DType::u8; }

}  // namespace

void Processes::all_reduce(const Tensor& x) {
  start_all_reduce(x);
  wait();
}

void Processes::start_all_reduce(const Tensor& x) {
  CHECK(x.defined() && can_add(x.dtype()), "all_reduce: x is ",
        x.defined() ? name_of(x.dtype()) : "undefined", ", expected f32, f64, i32 or i64");
  if (size_ > 1 && x.numel() > 0) do_start_all_reduce(x);
}

void Processes::wait() {
  if (size_ > 1) do_wait();
}

void Processes::broadcast(const Tensor& x, int64_t root) {
  CHECK(x.defined() && root >= 0 && root < size_, "broadcast: from rank ", root, " of ", size_,
        " processes", x.defined() ? "" : ", x is undefined");
  if (size_ > 1 && x.numel() > 0) do_broadcast(x, root);
}

Tensor Processes::all_gather(const Tensor& x) {
  CHECK(x.defined(), "all_gather: x is undefined");
  Shape shape{size_};
  for (int i = 0; i < x.rank(); ++i) shape.push_back(x.dim(i));
  const Tensor all = Tensor::empty(shape, x.dtype(), x.device());
  if (x.numel() == 0) return all;
  if (size_ == 1)
    all.copy_from(x);
  else
    do_all_gather(x, all);
  return all;
}

void Processes::barrier() {
  if (size_ > 1) do_barrier();
}

void Processes::fail(const std::string&) {}

}  // namespace rmt
