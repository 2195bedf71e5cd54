// What every .cu file includes. nvcc compiles it for a GPU; g++ -x c++ compiles it, unchanged, for
// the emulated device of emulator.h.
//
//   SHARED(T, name, n)        T name[n] in the block's shared memory, the same array for all its
//                             threads, 16-byte aligned, uninitialised
//   DYNAMIC_SHARED(T, name)   T* name: the launch's dynamic shared memory, 128-byte aligned
#pragma once
#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <cuda_runtime.h>

// Bytes and a cast, since __shared__ refuses types with a constructor.
#define SHARED(T, name, n)                                               \
  __shared__ __align__(16) unsigned char name##_bytes_[sizeof(T) * (n)]; \
  T(&name)[n] = reinterpret_cast<T(&)[n]>(name##_bytes_)
#define DYNAMIC_SHARED(T, name)                                               \
  extern __shared__ __align__(128) unsigned char rmt_dynamic_shared_bytes_[]; \
  T* const name = reinterpret_cast<T*>(rmt_dynamic_shared_bytes_)

#else

#include "core/cuda/emulator/emulator.h"

// A static local is one object per instantiation of the function: its address is the array's
// identity.
#define SHARED(T, name, n) \
  static char name##_key_; \
  T(&name)[n] = *static_cast<T(*)[n]>(::rmt::emulator::shared_array(&name##_key_, sizeof(T) * (n)))
#define DYNAMIC_SHARED(T, name) T* const name = static_cast<T*>(::rmt::emulator::dynamic_shared())

#endif
