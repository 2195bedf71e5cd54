// The GPU as the rest of the library sees it, without a CUDA header: is there one, its memory,
// copies, its one stream. Everything that is launched runs in the order of the calls, after the
// call has returned; whatever brings numbers back to the host waits for it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/device.h"
#include "core/dtype.h"

namespace rmt {

// Thrown by allocations on the GPU: what was asked for, what the device has left, and what tensors
// hold of it.
struct OutOfMemory : Error {
  size_t asked, free, in_use;
  OutOfMemory(size_t asked, size_t free, size_t in_use);
  OutOfMemory(const OutOfMemory& e, const std::string& text)
      : Error(text), asked(e.asked), free(e.free), in_use(e.in_use) {}
};

namespace cuda {

// Was this built with nvcc? Else the device is emulated (emulator.h): always there, and slow.
bool emulated();

struct Info {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  size_t memory = 0;  // bytes
  size_t shared = 0;  // bytes of shared memory that a block can ask for
  int driver = 0, runtime = 0;
};

// Chooses GPU number `index`; before first use of the device. Throws Error when it cannot be used,
// saying why.
void select(int index);
// Is a GPU there that works (number 0 unless one was selected)? Any error of the driver means no.
bool available();
// What available() found wrong.
const std::string& why_not();
// Throws when there is none.
const Info& info();

// 256-byte aligned. Throws OutOfMemory.
void* allocate(size_t bytes);
void release(void* p, size_t bytes);
// Hands memory that no tensor uses back to the device.
void free_unused();
// Bytes that the device has left, or limits() allows.
size_t free_memory();

// Any direction. From the GPU: waits until the bytes are there. To the GPU: the source may be
// changed as soon as this returns.
void copy(void* to, Device to_device, const void* from, Device from_device, size_t bytes);
void zero(void* p, size_t bytes);
// Waits until all work is done; throws what went wrong in it.
void synchronize();

// On n elements of device memory. convert rounds to nearest, as Tensor::to does on the host;
// add: sum += x.
void fill(void* x, DType dtype, double value, int64_t n);
void convert(const void* from, DType from_type, void* to, DType to_type, int64_t n);
void add(void* sum, const void* x, DType dtype, int64_t n);
bool all_finite(const void* x, DType dtype, int64_t n);

// Matrix products of f32 numbers may round their inputs to TF32 (10 mantissa bits). Off unless
// asked for.
void allow_tf32(bool on);
bool tf32_allowed();

}  // namespace cuda

// RMT_DEBUG=1 in the environment: the GPU is waited for after each kernel, and the first op with a
// result that is not finite is an Error with its name.
bool debugging();

}  // namespace rmt
