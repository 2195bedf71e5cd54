// The emulated device's streams, events and graphs, and what it says of itself.
#ifndef __CUDACC__
#include "tests/core/cuda/emulated.h"

namespace rmt::test {
namespace {

__global__ void increment(int* x) { ++*x; }

struct Pinned {
  explicit Pinned(int value) {
    check(cudaMallocHost(&p, sizeof(int)), "pinned");
    *p = value;
  }
  ~Pinned() { cudaFreeHost(p); }
  int* p = nullptr;
};

struct Stream {
  Stream() { check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "stream"); }
  ~Stream() { cudaStreamDestroy(s); }
  cudaStream_t s = nullptr;
};

void increment_on(cudaStream_t s, int* x) {
  emulator::launch("increment", dim3(1), dim3(1), 0, s, [x] { increment(x); });
}

TEST(Emulator, LazyStreamsShowAMissingSynchronisation) {
  Restore restore;
  settings().lazy = true;
  Stream own;
  for (cudaStream_t s : {own.s, cudaStream_t()}) {
    Array<int> x(std::vector<int>{5});
    Pinned result(0);
    const int64_t before = emulator::counters().launches;
    increment_on(s, x.p);
    increment_on(s, x.p);
    check(cudaMemcpyAsync(result.p, x.p, sizeof(int), cudaMemcpyDeviceToHost, s), "copy");
    EXPECT_EQ(*result.p, 0);  // the bug: read too early
    EXPECT_EQ(emulator::counters().launches, before);
    check(cudaStreamSynchronize(s), "wait");
    EXPECT_EQ(*result.p, 7);
  }
}

TEST(Emulator, LazyStreamsShowTheReuseOfAStagingBuffer) {
  Restore restore;
  settings().lazy = true;
  Stream s;
  for (bool bug : {false, true}) {
    Array<int> x(1), y(1);
    Pinned buffer(1);
    check(cudaMemcpyAsync(x.p, buffer.p, sizeof(int), cudaMemcpyHostToDevice, s.s), "copy");
    if (!bug) check(cudaStreamSynchronize(s.s), "wait");
    *buffer.p = 2;
    check(cudaMemcpyAsync(y.p, buffer.p, sizeof(int), cudaMemcpyHostToDevice, s.s), "copy");
    check(cudaStreamSynchronize(s.s), "wait");
    EXPECT_EQ(x.read()[0], bug ? 2 : 1);
  }
  Array<int> z(1);
  int pageable = 7;  // is read before the call returns
  check(cudaMemcpyAsync(z.p, &pageable, sizeof(int), cudaMemcpyHostToDevice, s.s), "copy");
  pageable = 8;
  check(cudaStreamSynchronize(s.s), "wait");
  EXPECT_EQ(z.read()[0], 7);
}

__global__ void exits_before_the_barrier() {
  if (threadIdx.x == 63) return;
  __syncthreads();
}

TEST(Emulator, LazyErrorsComeAtTheSynchronisation) {
  Restore restore;
  settings().lazy = true;
  launch("exits", exits_before_the_barrier, dim3(1), dim3(64), 0);
  expect_error([] { cudaStreamSynchronize(stream()); }, {"kernel exits", "divergent barrier"});
  EXPECT_EQ(cudaStreamSynchronize(stream()), cudaSuccess);
}

TEST(Emulator, EventsOrderStreams) {
  Restore restore;
  for (bool lazy : {false, true}) {
    settings().lazy = lazy;
    Stream a, b;
    cudaEvent_t start = nullptr, end = nullptr;
    check(cudaEventCreate(&start), "event");
    check(cudaEventCreate(&end), "event");
    Array<int> x(std::vector<int>{0}), y(std::vector<int>{0});
    check(cudaEventRecord(start, a.s), "record");
    increment_on(a.s, x.p);
    check(cudaEventRecord(end, a.s), "record");
    check(cudaStreamWaitEvent(b.s, end), "wait");
    check(cudaMemcpyAsync(y.p, x.p, sizeof(int), cudaMemcpyDeviceToDevice, b.s), "copy");
    float ms = -1;
    EXPECT_EQ(cudaEventElapsedTime(&ms, start, end), lazy ? cudaErrorNotReady : cudaSuccess);
    check(cudaStreamSynchronize(b.s), "wait");  // which runs what b waits for, too
    check(cudaEventElapsedTime(&ms, start, end), "time");
    EXPECT_GE(ms, 0);
    EXPECT_EQ(y.read()[0], 1);
    check(cudaEventSynchronize(end), "wait");
    check(cudaEventDestroy(start), "event");
    check(cudaEventDestroy(end), "event");
  }
  cudaGetLastError();
}

TEST(Emulator, GraphsAreCapturedAndReplayed) {
  Restore restore;
  for (bool lazy : {false, true}) {
    settings().lazy = lazy;
    Stream a, b;
    Array<int> x(std::vector<int>{10}), y(std::vector<int>{0});
    cudaEvent_t fork = nullptr, join = nullptr;
    check(cudaEventCreate(&fork), "event");
    check(cudaEventCreate(&join), "event");
    check(cudaStreamBeginCapture(a.s, cudaStreamCaptureModeGlobal), "capture");
    increment_on(a.s, x.p);
    check(cudaEventRecord(fork, a.s), "fork");
    check(cudaStreamWaitEvent(b.s, fork), "fork");
    check(cudaMemcpyAsync(y.p, x.p, sizeof(int), cudaMemcpyDeviceToDevice, b.s),
          "copy");  // on the fork
    check(cudaEventRecord(join, b.s), "join");
    check(cudaStreamWaitEvent(a.s, join), "join");
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    check(cudaStreamIsCapturing(b.s, &status), "status");
    EXPECT_EQ(status, cudaStreamCaptureStatusActive);
    int* p = nullptr;
    EXPECT_EQ(cudaStreamSynchronize(a.s), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaMalloc(&p, 4), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaGetLastError(), cudaErrorStreamCaptureUnsupported);
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    check(cudaStreamEndCapture(a.s, &graph), "capture");
    check(cudaStreamIsCapturing(b.s, &status), "status");
    EXPECT_EQ(status, cudaStreamCaptureStatusNone);
    check(cudaGraphInstantiate(&exec, graph), "graph");
    check(cudaGraphDestroy(graph), "graph");
    EXPECT_EQ(x.read()[0], 10);  // captured, not run
    for (int i = 0; i < 3; ++i) check(cudaGraphLaunch(exec, a.s), "replay");
    check(cudaStreamSynchronize(a.s), "wait");
    EXPECT_EQ(x.read()[0], 13);
    x.write({100});  // the same graph on other numbers
    check(cudaGraphLaunch(exec, a.s), "replay");
    check(cudaStreamSynchronize(a.s), "wait");
    EXPECT_EQ(y.read()[0], 101);
    check(cudaGraphExecDestroy(exec), "graph");
    check(cudaEventDestroy(fork), "event");
    check(cudaEventDestroy(join), "event");
  }
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal),
            cudaErrorStreamCaptureUnsupported);
  cudaGetLastError();
}

TEST(Emulator, DescribesItself) {
  cudaDeviceProp p;
  check(cudaGetDeviceProperties(&p, 0), "properties");
  EXPECT_STREQ(p.name, "rmt emulated device");
  EXPECT_EQ(p.major, 9);
  EXPECT_EQ(p.multiProcessorCount, 132);
  EXPECT_EQ(p.sharedMemPerBlockOptin, 227u << 10);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  EXPECT_STREQ(cudaGetErrorName(cudaGetLastError()), "cudaErrorInvalidDevice");
  expect_error([] { check(cudaErrorMemoryAllocation, "weights"); },
               {"weights: out of memory (cudaErrorMemoryAllocation)"});
}

}  // namespace
}  // namespace rmt::test
#endif
