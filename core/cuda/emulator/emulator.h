// The emulated CUDA device: what kernels and host code see of it when a .cu file is compiled as
// C++. The machine itself is emulator.cpp.
//
// Every CUDA thread is a fiber on the one OS thread that launches, so a kernel can be stepped
// through in a debugger, and runs under ASan and UBSan. Threads are switched only where they block:
// in a barrier or a warp collective. A block runs to its end before the next one starts. Hence two
// limits: a thread that spins until another writes never ends, and a race shows only as a
// difference between thread orders (Settings::order), which tests compare bit by bit. Whatever the
// emulator finds wrong in a kernel is thrown as rmt::Error by the launch, or with Settings::lazy by
// the synchronisation that runs it; the message names kernel, block and thread. The device is
// usable afterwards.
//
// Deliberately absent, so that what passes here is what we write: <<<>>>, __constant__, device
// globals, atomics on floats (results are bit-reproducible), textures, dynamic parallelism, wmma.
#pragma once
#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

// --- the language ---

#define __global__ __attribute__((noinline, noclone))  // a debugger finds it by its name
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

// CUDA's vector types with CUDA's alignments: UBSan then reports a float4 read from an address that
// is not a multiple of 16.
#define RMT_VECTORS(T, name)                                            \
  struct alignas(8) name##2 {                                           \
    T x, y;                                                             \
  };                                                                    \
  struct name##3 {                                                      \
    T x, y, z;                                                          \
  };                                                                    \
  struct alignas(16) name##4 {                                          \
    T x, y, z, w;                                                       \
  };                                                                    \
  constexpr name##2 make_##name##2(T x, T y) { return {x, y}; }         \
  constexpr name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
  constexpr name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
RMT_VECTORS(int, int)
RMT_VECTORS(unsigned, uint)
RMT_VECTORS(float, float)
#undef RMT_VECTORS
struct alignas(16) double2 {
  double x, y;
};
constexpr double2 make_double2(double x, double y) { return {x, y}; }

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned vx = 1, unsigned vy = 1, unsigned vz = 1) : x(vx), y(vy), z(vz) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};

extern uint3 threadIdx, blockIdx;  // of the running fiber
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

// --- the runtime API's types ---

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorInvalidDevice = 101,
  cudaErrorInvalidResourceHandle = 400,
  cudaErrorNotReady = 600,
  cudaErrorIllegalAddress = 700,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorIllegalState = 401,
};
enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice,
  cudaMemcpyDefault
};
enum cudaFuncAttribute {
  cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
  cudaFuncAttributePreferredSharedMemoryCarveout = 9
};
enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal,
  cudaStreamCaptureModeThreadLocal,
  cudaStreamCaptureModeRelaxed
};
enum cudaStreamCaptureStatus {
  cudaStreamCaptureStatusNone,
  cudaStreamCaptureStatusActive,
  cudaStreamCaptureStatusInvalidated
};
enum : unsigned {
  cudaStreamDefault = 0,
  cudaStreamNonBlocking = 1,
  cudaEventDefault = 0,
  cudaEventDisableTiming = 2
};

using cudaStream_t = struct CUstream_st*;
using cudaEvent_t = struct CUevent_st*;
using cudaGraph_t = struct CUgraph_st*;
using cudaGraphExec_t = struct CUgraphExec_st*;

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerBlockOptin, sharedMemPerMultiprocessor;
  int major, minor, multiProcessorCount, warpSize, maxThreadsPerBlock, maxThreadsPerMultiProcessor,
      regsPerBlock, l2CacheSize;
};

// --- the machine's own interface ---

namespace rmt::emulator {

// Who runs next when a thread blocks. fair: the next runnable thread, round and round. greedy:
// always the lowest (highest) warp that can run, until all its lanes block. A missing barrier
// between a write and another thread's read shows as a difference between a forward and a backward
// order; one between a read and another's overwrite often only in the greedy ones, where a warp
// runs ahead. Blocks go forward in fair_forward and greedy_ascending, backward in the other two,
// shuffled in random.
enum class Order { fair_forward, fair_reverse, greedy_ascending, greedy_descending, random };
inline constexpr Order kOrders[] = {Order::fair_forward, Order::fair_reverse,
                                    Order::greedy_ascending, Order::greedy_descending,
                                    Order::random};

struct Settings {
  Order order = Order::fair_forward;
  uint64_t seed = 0;                       // of Order::random
  size_t device_memory = size_t(4) << 30;  // bytes; the first allocation reserves so many
                                           // addresses, later changes below that are obeyed
  bool check_canaries_each_launch = true;  // else at synchronisations and frees only
  bool lock_memory = false;  // device memory is inaccessible outside kernels and copies (from the
                             // next operation on)
  bool lazy = false;         // work on streams waits for a synchronisation or a query
};
Settings& settings();

struct Counters {
  int64_t launches = 0, blocks = 0, switches = 0;
};
Counters& counters();

constexpr size_t kStaticShared = 48 << 10, kMaxShared = 227 << 10;

// The launch's parameters are checked as CUDA does; `body` is one call of the kernel.
cudaError_t launch(const char* kernel, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                   std::function<void()> body);
// Work of the stream that is not a kernel of ours, such as a matrix product from a library: `work`
// may touch device memory.
cudaError_t enqueue(const char* name, cudaStream_t stream, std::function<void()> work);
// Throws unless p is null or points into (or just behind) a live device block or pinned host
// memory: a kernel must not be handed a host pointer.
void check_argument(const char* kernel, int index, const void* p);

// What follows is called from kernels.
using Site = std::source_location;

[[noreturn]] void fail(std::string message);  // ends the launch
int thread_index();                           // of the running thread in its block, x fastest
inline int lane_index() { return thread_index() % 32; }
int64_t block_serial();  // another one for every block that was ever begun

// The block's barrier; returns for how many threads `predicate` held. All threads must come, to the
// same call.
int barrier(const char* what, bool predicate, const Site& at);

// A warp collective. Each lane of `mask` brings a record on its own stack; the last to arrive runs
// finish on all of them and releases the others. record[i] is null for a lane that is not in the
// mask, does not exist or has exited: as on hardware (sm_70 on) those are not waited for, so a full
// mask is legal in a partial warp.
using Finish = void (*)(void* const (&record)[32]);
void collective(const char* what, uint32_t mask, Finish finish, void* record, const Site& at);

void* shared_array(const void* key, size_t bytes);
void* dynamic_shared();
bool in_shared(const void* p, size_t bytes);  // inside one array

template <class T>
concept Shuffled = std::is_arithmetic_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

// Lane i gets the value of lane source_i; of a lane that did not take part, the NaN pattern.
template <Shuffled T>
T shuffle(const char* what, uint32_t mask, T value, int source, int width, const Site& at) {
  struct Lane {
    T value, result;
    int source;
  } mine{value, {}, source};
  if (width < 1 || width > 32 || (width & (width - 1)))
    fail(std::string(what) + ": width " + std::to_string(width) +
         " is not a power of two up to 32");
  std::memset(&mine.result, 0xff, sizeof(T));
  collective(
      what, mask,
      [](void* const(&record)[32]) {
        for (void* p : record)
          if (auto* lane = static_cast<Lane*>(p))
            if (auto* from = static_cast<Lane*>(record[lane->source])) lane->result = from->value;
      },
      &mine, at);
  return mine.result;
}

// A value that all lanes of the mask receive: f(f(v_i, v_j), ...) in ascending order of lanes.
template <class T, class F>
T reduce(const char* what, uint32_t mask, T value, F, const Site& at) {
  collective(
      what, mask,
      [](void* const(&record)[32]) {
        T* first = nullptr;
        for (void* p : record)
          if (p)
            first ? void(*first = F{}(*first, *static_cast<T*>(p)))
                  : void(first = static_cast<T*>(p));
        for (void* p : record)
          if (p) *static_cast<T*>(p) = *first;
      },
      &value, at);
  return value;
}

struct Min {
  template <class T>
  T operator()(T a, T b) const {
    return b < a ? b : a;
  }
};
struct Max {
  template <class T>
  T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

}  // namespace rmt::emulator

// --- barriers and warp collectives ---

inline void __syncthreads(rmt::emulator::Site at = rmt::emulator::Site::current()) {
  rmt::emulator::barrier("__syncthreads", false, at);
}
inline int __syncthreads_count(int p, rmt::emulator::Site at = rmt::emulator::Site::current()) {
  return rmt::emulator::barrier("__syncthreads_count", p != 0, at);
}
inline int __syncthreads_or(int p, rmt::emulator::Site at = rmt::emulator::Site::current()) {
  return rmt::emulator::barrier("__syncthreads_or", p != 0, at) > 0;
}
inline int __syncthreads_and(int p, rmt::emulator::Site at = rmt::emulator::Site::current()) {
  return rmt::emulator::barrier("__syncthreads_and", p == 0, at) == 0;
}

inline void __syncwarp(unsigned mask = ~0u,
                       rmt::emulator::Site at = rmt::emulator::Site::current()) {
  rmt::emulator::collective(
      "__syncwarp", mask, [](void* const(&)[32]) {}, nullptr, at);
}

// Within segments of `width` lanes; a source outside the segment means the lane's own value (xor
// may reach back into an earlier one).
template <rmt::emulator::Shuffled T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              rmt::emulator::Site at = rmt::emulator::Site::current()) {
  const int lane = rmt::emulator::lane_index();
  return rmt::emulator::shuffle("__shfl_sync", mask, value,
                                (lane & -width) + (source & (width - 1)), width, at);
}
template <rmt::emulator::Shuffled T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 rmt::emulator::Site at = rmt::emulator::Site::current()) {
  const unsigned lane = rmt::emulator::lane_index(), in_segment = lane & (width - 1);
  return rmt::emulator::shuffle("__shfl_up_sync", mask, value,
                                in_segment >= delta ? lane - delta : lane, width, at);
}
template <rmt::emulator::Shuffled T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   rmt::emulator::Site at = rmt::emulator::Site::current()) {
  const unsigned lane = rmt::emulator::lane_index(), in_segment = lane & (width - 1);
  return rmt::emulator::shuffle("__shfl_down_sync", mask, value,
                                delta < width - in_segment ? lane + delta : lane, width, at);
}
template <rmt::emulator::Shuffled T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  rmt::emulator::Site at = rmt::emulator::Site::current()) {
  const int lane = rmt::emulator::lane_index(), source = (lane ^ bits) & 31;
  return rmt::emulator::shuffle("__shfl_xor_sync", mask, value,
                                source <= (lane | (width - 1)) ? source : lane, width, at);
}

inline unsigned __ballot_sync(unsigned mask, int p,
                              rmt::emulator::Site at = rmt::emulator::Site::current()) {
  return rmt::emulator::reduce("__ballot_sync", mask, p ? 1u << rmt::emulator::lane_index() : 0u,
                               std::bit_or<>{}, at);
}
inline int __any_sync(unsigned mask, int p,
                      rmt::emulator::Site at = rmt::emulator::Site::current()) {
  return rmt::emulator::reduce("__any_sync", mask, int(p != 0), std::bit_or<>{}, at);
}
inline int __all_sync(unsigned mask, int p,
                      rmt::emulator::Site at = rmt::emulator::Site::current()) {
  return rmt::emulator::reduce("__all_sync", mask, int(p != 0), std::bit_and<>{}, at);
}

template <class T>
requires std::same_as<T, int> || std::same_as<T, unsigned> T
__reduce_add_sync(unsigned mask, T value, rmt::emulator::Site at = rmt::emulator::Site::current()) {
  return T(rmt::emulator::reduce("__reduce_add_sync", mask, unsigned(value), std::plus<>{}, at));
}
template <class T>
requires std::same_as<T, int> || std::same_as<T, unsigned> T
__reduce_min_sync(unsigned mask, T value, rmt::emulator::Site at = rmt::emulator::Site::current()) {
  return rmt::emulator::reduce("__reduce_min_sync", mask, value, rmt::emulator::Min{}, at);
}
template <class T>
requires std::same_as<T, int> || std::same_as<T, unsigned> T
__reduce_max_sync(unsigned mask, T value, rmt::emulator::Site at = rmt::emulator::Site::current()) {
  return rmt::emulator::reduce("__reduce_max_sync", mask, value, rmt::emulator::Max{}, at);
}

unsigned __activemask();  // the lanes of the warp that have not exited

// --- arithmetic ---

// min and max have CUDA's overloads: a mixed pair such as (int64_t, int) is ambiguous there, too.
#define RMT_MIN_MAX(T)                                \
  constexpr T min(T a, T b) { return b < a ? b : a; } \
  constexpr T max(T a, T b) { return a < b ? b : a; }
RMT_MIN_MAX(int)
RMT_MIN_MAX(unsigned)
RMT_MIN_MAX(long)
RMT_MIN_MAX(unsigned long)
RMT_MIN_MAX(long long)
RMT_MIN_MAX(unsigned long long)
#undef RMT_MIN_MAX
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float __expf(float x) noexcept { return expf(x); }
inline float __logf(float x) noexcept { return logf(x); }
inline float __sinf(float x) noexcept { return sinf(x); }
inline float __cosf(float x) noexcept { return cosf(x); }
inline float __powf(float x, float y) noexcept { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __saturatef(float x) { return fminf(fmaxf(x, 0), 1); }

inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }

inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(unsigned(x)); }
inline int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return x ? std::countr_zero(unsigned(x)) + 1 : 0; }
inline int __ffsll(long long x) {
  return x ? std::countr_zero(static_cast<unsigned long long>(x)) + 1 : 0;
}
inline unsigned __brev(unsigned x) {
  unsigned y = 0;
  for (int i = 0; i < 32; ++i) y |= (x >> i & 1) << (31 - i);
  return y;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
inline int __mulhi(int a, int b) { return int((int64_t(a) * b) >> 32); }

// --- memory ---

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
void __stcs(T* p, std::type_identity_t<T> value) {
  *p = value;
}
template <class T>
void __stcg(T* p, std::type_identity_t<T> value) {
  *p = value;
}

namespace rmt::emulator {
template <class T>
concept Atomic =
    std::same_as<T, int> || std::same_as<T, unsigned> || std::same_as<T, unsigned long long>;
template <class T>
concept AtomicOrdered = Atomic<T> || std::same_as<T, long long>;
}  // namespace rmt::emulator

// Plain updates, since nobody else runs meanwhile. All return the old value. Sums wrap.
template <rmt::emulator::Atomic T>
T atomicAdd(T* p, std::type_identity_t<T> value) {
  using U = std::make_unsigned_t<T>;
  return std::exchange(*p, T(U(*p) + U(value)));
}
template <rmt::emulator::AtomicOrdered T>
T atomicMax(T* p, std::type_identity_t<T> value) {
  return std::exchange(*p, *p < value ? value : *p);
}
template <rmt::emulator::AtomicOrdered T>
T atomicMin(T* p, std::type_identity_t<T> value) {
  return std::exchange(*p, value < *p ? value : *p);
}
template <rmt::emulator::Atomic T>
T atomicOr(T* p, std::type_identity_t<T> value) {
  return std::exchange(*p, *p | value);
}
template <rmt::emulator::Atomic T>
T atomicAnd(T* p, std::type_identity_t<T> value) {
  return std::exchange(*p, *p & value);
}
template <rmt::emulator::Atomic T>
T atomicExch(T* p, std::type_identity_t<T> value) {
  return std::exchange(*p, value);
}
template <rmt::emulator::Atomic T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return std::exchange(*p, *p == expected ? value : *p);
}

inline void __threadfence() {}
inline void __threadfence_block() {}
[[noreturn]] inline void __trap() { rmt::emulator::fail("__trap"); }
inline long long clock64() { return rmt::emulator::counters().switches; }

// --- the runtime API (emulator_runtime.cpp) ---
// Returns CUDA's codes where CUDA has one for the case; throws rmt::Error with an explanation for
// what a GPU would punish with an illegal address.

const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaDeviceSynchronize();

cudaError_t cudaMalloc(void** p, size_t bytes);
cudaError_t cudaFree(void* p);  // never throws, since destructors call it: damage found here is
                                // thrown by the next operation
cudaError_t cudaMallocHost(void** p, size_t bytes);
cudaError_t cudaFreeHost(void* p);
template <class T>
cudaError_t cudaMalloc(T** p, size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(p), bytes);
}
template <class T>
cudaError_t cudaMallocHost(T** p, size_t bytes) {
  return cudaMallocHost(reinterpret_cast<void**>(p), bytes);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream = nullptr);
cudaError_t cudaMemset(void* p, int value, size_t bytes);
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream = nullptr);

cudaError_t cudaStreamCreate(cudaStream_t* stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags = 0);

cudaError_t cudaEventCreate(cudaEvent_t* event);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream = nullptr);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end);
cudaError_t cudaEventDestroy(cudaEvent_t event);

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph,
                                 unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);

template <class... P>
cudaError_t cudaFuncSetAttribute(void (*)(P...), cudaFuncAttribute attribute, int value) {
  const bool fits = attribute != cudaFuncAttributeMaxDynamicSharedMemorySize ||
                    (value >= 0 && size_t(value) <= rmt::emulator::kMaxShared);
  return fits ? cudaSuccess : cudaErrorInvalidValue;
}
