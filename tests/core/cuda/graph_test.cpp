#include "core/cuda/graph.h"

#include <gtest/gtest.h>

#include "core/cuda/limits.h"
#include "core/cuda/pool.h"
#include "ops/add.h"
#include "ops/mul.h"
#include "tests/check_op.h"
#include "tests/device.h"

namespace rmt::test {
namespace {

using cuda::Graph, cuda::Pool, cuda::Readback;
using GraphTest = OnDevice;

Tensor constant(double value, int64_t n = 1000) {
  return Tensor::full({n}, value, DType::f32, Device::cuda);
}

// Every element, which must be the same.
float value_of(const Tensor& x) {
  const std::vector<float> v = x.to_vector<float>();
  for (float other : v) EXPECT_EQ(other, v[0]);
  return v[0];
}

}  // namespace

TEST_F(GraphTest, RepeatsWithWhatItsInputsHoldThen) {
  LazyDevice lazy;
  const Tensor x = constant(2), sum = constant(0);
  Tensor y;
  Graph graph;
  EXPECT_FALSE(graph.captured());
  graph.capture([&] {
    y = ops::add(ops::mul(x, x), x);
    sum.add_from(y);
  });
  EXPECT_TRUE(graph.captured());
  EXPECT_EQ(value_of(sum), 0) << "recording is not running";
  graph.launch();
  EXPECT_EQ(value_of(y), 6);
  x.copy_from(Tensor::full({1000}, 3));
  graph.launch();
  EXPECT_EQ(value_of(y), 12);
  EXPECT_EQ(value_of(sum), 18);
  x.fill(1);
  for (int i = 0; i < 3; ++i) graph.launch();
  EXPECT_EQ(value_of(sum), 24);
}

// Between its steps f lets go of its intermediate tensors, and still the graph writes into them at
// every launch.
TEST_F(GraphTest, NobodyElseGetsItsMemory) {
  const int64_t n = 1 << 18;
  const Tensor x = constant(1, n);
  Tensor y;
  Graph graph;
  graph.capture([&] { y = ops::add(ops::mul(ops::add(x, x), x), x); });
  for (bool trimmed : {false, true}) {
    if (trimmed) cuda::free_unused();
    std::vector<Tensor> others;
    for (int i = 0; i < 12; ++i) others.push_back(constant(100 + i, n));
    graph.launch();
    EXPECT_EQ(value_of(y), 3);
    for (int i = 0; i < 12; ++i)
      EXPECT_EQ(value_of(others[size_t(i)]), 100 + i)
          << "the graph wrote into another tensor" << (trimmed ? " after a trim" : "");
  }
}

TEST_F(GraphTest, MemoryRunningShortElsewhereDoesNotTakeItsOwn) {
  const int64_t n = 1 << 18;
  const Tensor x = constant(1, n);
  Tensor y;
  Graph graph;
  graph.capture([&] { y = ops::add(ops::mul(ops::add(x, x), x), x); });
  y = Tensor();
  LittleMemory little(size_t(4) << 20);
  EXPECT_THROW(constant(1, 8 << 20), OutOfMemory);  // which asked every pool for what it can spare
  const Tensor sum = constant(0, 1000);
  EXPECT_NO_THROW(graph.launch());
  EXPECT_EQ(value_of(sum), 0);
  EXPECT_NO_THROW(cuda::synchronize());
}

TEST_F(GraphTest, ResultsOutliveTheGraphAndThenItsMemoryComesBack) {
  const size_t before = cuda::free_memory();
  Tensor y;
  {
    const Tensor x = constant(5);
    Graph graph;
    graph.capture([&] { y = ops::add(x, x); });
    graph.launch();
  }
  EXPECT_EQ(value_of(y), 10);
  Tensor other = constant(1);
  EXPECT_EQ(value_of(y), 10) << "another tensor was put there";
  y = other = Tensor();
  cuda::free_unused();
  if (cuda::emulated()) {  // a real one may have put code there
    EXPECT_EQ(cuda::free_memory(), before);
  }
}

TEST_F(GraphTest, APoolOutlivesItselfInItsTensors) {
  Tensor a, b;
  {
    Pool pool;
    Pool* before = Pool::use(&pool);
    a = constant(1), b = constant(2);
    Pool::use(before);
  }
  const Tensor c = constant(3);
  EXPECT_EQ(value_of(a), 1);
  a = Tensor();
  EXPECT_EQ(value_of(b), 2);
  EXPECT_EQ(value_of(c), 3);
}

TEST_F(GraphTest, AnErrorInARecordingLeavesTheDeviceUsable) {
  const Tensor x = constant(2);
  Graph graph;
  expect_error(
      [&] {
        graph.capture([&] {
          ops::add(x, x);
          throw Error("stop");
        });
      },
      {"stop"});
  EXPECT_FALSE(graph.captured());
  expect_error([&] { graph.launch(); }, {"launch() before capture()"});
  EXPECT_EQ(value_of(ops::mul(x, x)), 4);
  EXPECT_EQ(
      &Pool::current(), &[]() -> Pool& { return Pool::current(); }());
  Tensor y;
  graph.capture([&] { y = ops::mul(x, x); });
  graph.launch();
  EXPECT_EQ(value_of(y), 4);
  expect_error([&] { graph.capture([] {}); }, {"captured already"});
}

TEST_F(GraphTest, WhatCannotBeRepeatedIsRefusedWhileRecording) {
  const Tensor x = constant(2), here = Tensor::full({1000}, 1);
  expect_error([&] { Graph().capture([&] { ops::add(x, on_device(here)); }); },
               {"while a graph is recorded"});
  EXPECT_THROW(Graph().capture([&] { cuda::synchronize(); }), Error);
  EXPECT_EQ(value_of(ops::add(x, on_device(here))), 3);
}

// While a graph is recorded nothing goes back to the device, and `old` is in the way of what is
// asked for then. A second recording finds it gone.
TEST_F(GraphTest, MemoryThatIsInTheWayOfARecordingIsFreedAndTheRecordingRepeated) {
  const int64_t n = 1 << 19;  // 2 MiB
  for (bool pieces : {false, true}) {
    cuda::Limits limits = cuda::limits();
    limits.pieces = pieces;
    limits.segment_bytes = 1 << 16;
    const cuda::WithLimits with(limits);
    const Tensor x = constant(1, n);
    Tensor old = constant(5, n), y;
    LittleMemory little(size_t(3) << 20);
    int recordings = 0;
    Graph graph;
    graph.capture([&] {
      ++recordings;
      y = Tensor();
      old = Tensor();
      y = ops::mul(ops::add(x, x), x);  // 2 MiB, and 2 MiB more
    });
    EXPECT_EQ(recordings, cuda::emulated() ? 2 : recordings);
    graph.launch();
    EXPECT_EQ(value_of(y), 2);
  }
}

TEST_F(GraphTest, MemoryThatIsNotThereEndsTheRecordingAtOnce) {
  const int64_t n = 1 << 19;
  const Tensor x = constant(1, n);
  LittleMemory little(size_t(3) << 20);
  int recordings = 0;
  Tensor y;
  EXPECT_THROW(Graph().capture([&] {
    ++recordings;
    y = ops::mul(ops::add(x, x), x);
  }),
               OutOfMemory);
  EXPECT_EQ(recordings, 1);
  EXPECT_EQ(value_of(x), 1);
}

TEST_F(GraphTest, ReadbackBringsTheNumberAsItWas) {
  LazyDevice lazy;
  const Tensor x = constant(1, 1), y = constant(10, 1);
  Readback first(sizeof(float)), second(sizeof(float)), idle(sizeof(float));
  auto number = [](Readback& r) { return *static_cast<const float*>(r.wait()); };
  for (int i = 0; i < 3; ++i) {
    first.start(x.raw());
    x.add_from(y);
    second.start(x.raw());
    x.add_from(y);
    EXPECT_EQ(number(first), float(1 + 20 * i));
    EXPECT_EQ(number(second), float(11 + 20 * i));
  }
}

}  // namespace rmt::test
