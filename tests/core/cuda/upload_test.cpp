// Copies that come while the GPU computes. Each event that orders the two streams, and each handle
// that keeps memory, has a test here that fails without it.
#include "core/cuda/upload.h"

#include <gtest/gtest.h>

#include <deque>

#include "core/cuda/graph.h"
#include "core/cuda/limits.h"
#include "core/cuda/pinned.h"
#include "ops/add.h"
#include "ops/mul.h"
#include "tests/check_op.h"
#include "tests/core/cuda/run_ahead.h"
#include "tests/device.h"

namespace rmt::test {
namespace {

using UploadTest = OnDevice;

constexpr int64_t kN = 5000;

Tensor pinned_numbers(double value, int64_t n = kN) {
  const cuda::PinnedMemory pinned;
  return Tensor::full({n}, value);
}

// Memory that is given back is handed out again at once, as on a GPU.
struct Reuse : cuda::WithLimits {
  static cuda::Limits pieces() {
    cuda::Limits l = cuda::limits();
    l.pieces = true;
    return l;
  }
  Reuse() : WithLimits(pieces()) {}
};

// Six steps, each of which reads its numbers at its begin and at its end. The host waits for
// nothing; what it sent it lets go of at once, and the next step's numbers may come into the same
// memory. `ahead`: the copies run as early as they may, else as late.
void expect_own_numbers(bool pinned, bool ahead) {
  const Reuse reuse;
  LazyDevice lazy;
  cuda::Upload upload;
  const Tensor place = Tensor::zeros({kN}, DType::f32, Device::cuda);
  const Tensor flag = Tensor::zeros({1}, DType::u8, Device::cuda);
  std::vector<Tensor> results, flags;
  for (int step = 1; step <= 6; ++step) {
    upload.send({pinned ? pinned_numbers(step) : Tensor::full({kN}, step),
                 Tensor::full({1}, step, DType::u8)},
                {place, flag});
    if (ahead) run_ahead();
    results.push_back(ops::add(ops::mul(place, place), place));
    flags.push_back(flag.clone());
  }
  if (ahead) run_ahead();
  for (int step = 1; step <= 6; ++step) {
    const std::vector<float> y = results[size_t(step - 1)].to_vector<float>();
    for (float v : y) ASSERT_EQ(v, float(step * step + step)) << "step " << step;
    ASSERT_EQ(flags[size_t(step - 1)].to_vector<uint8_t>()[0], step);
  }
}

}  // namespace

TEST_F(UploadTest, EachStepReadsItsOwnNumbers) {
  for (bool pinned : {true, false})
    for (bool ahead : {true, false}) for_thread_orders([&] { expect_own_numbers(pinned, ahead); });
}

// The first copy lands where a tensor lay that is still read by what was launched before.
TEST_F(UploadTest, TheLandingPlaceIsNotTakenFromThoseWhoStillReadIt) {
  const Reuse reuse;
  LazyDevice lazy;
  cuda::Upload upload;
  for (int64_t n : {kN, 3 * kN}) {  // and again where it grows
    const Tensor place = Tensor::zeros({n}, DType::f32, Device::cuda);
    Tensor before = Tensor::full({n}, 7, DType::f32, Device::cuda);
    const Tensor y = ops::add(before, before);
    before = Tensor();
    upload.send({pinned_numbers(100, n)}, {place});
    run_ahead();
    for (float v : y.to_vector<float>()) ASSERT_EQ(v, 14);
    for (float v : place.to_vector<float>()) ASSERT_EQ(v, 100);
  }
}

// The handle that the caller lets go of is not the last one.
TEST_F(UploadTest, WhatIsSentIsKeptUntilItHasBeenRead) {
  const Reuse reuse;
  LazyDevice lazy;
  const Tensor place = Tensor::zeros({kN}, DType::f32, Device::cuda);
  {
    cuda::Upload upload;
    upload.send({pinned_numbers(1)}, {place});
    std::vector<Tensor> others;
    for (int i = 0; i < 4; ++i) others.push_back(pinned_numbers(50));
    for (float v : place.to_vector<float>()) ASSERT_EQ(v, 1);
    upload.send({pinned_numbers(2)}, {place});
  }
  const Tensor other = pinned_numbers(50);  // where 2 was, if the upload has not waited
  for (float v : place.to_vector<float>()) ASSERT_EQ(v, 2);
}

TEST_F(UploadTest, SizesMayChangeAndBeNone) {
  cuda::Upload upload;
  upload.send({}, {});
  for (int64_t n : {3, 0, 1000, 7}) {
    const Tensor a = Tensor::zeros({n}, DType::f32, Device::cuda),
                 b = Tensor::zeros({n}, DType::i64, Device::cuda);
    upload.send({Tensor::full({n}, n), Tensor::full({n}, -n, DType::i64)}, {a, b});
    EXPECT_EQ(a.to_vector<float>(), std::vector<float>(size_t(n), float(n)));
    EXPECT_EQ(b.to_vector<int64_t>(), std::vector<int64_t>(size_t(n), -n));
  }
  const Tensor place = Tensor::zeros({2}, DType::f32, Device::cuda);
  expect_error([&] { upload.send({Tensor::zeros({3})}, {place}); }, {"upload", "does not fit"});
  expect_error([&] { upload.send({Tensor::zeros({2})}, {}); }, {"1 tensors into 0"});
  expect_error([&] { cuda::Graph().capture([&] { upload.send({Tensor::zeros({2})}, {place}); }); },
               {"upload", "recorded"});
}

// --- pinned memory ---

using PinnedTest = OnDevice;

TEST_F(PinnedTest, IsForThisThreadsStoragesWhileItIsAskedFor) {
  for (bool pieces : {false, true}) {
    cuda::Limits limits = cuda::limits();
    limits.pieces = pieces;
    limits.segment_bytes = 1 << 16;
    const cuda::WithLimits with(limits);
    const Tensor before = Tensor::zeros({100});
    Tensor a, b, large;
    {
      const cuda::PinnedMemory pinned;
      a = Tensor::full({100}, 1), b = Tensor::full({0}, 1);
      large = Tensor::full({1 << 18}, 2);  // more than a segment
      const cuda::PinnedMemory not_now(false);
      EXPECT_FALSE(cuda::is_pinned(Tensor::zeros({100}).raw()));
    }
    EXPECT_FALSE(cuda::is_pinned(before.raw()));
    EXPECT_FALSE(cuda::is_pinned(Tensor::zeros({100}).raw()));
    for (const Tensor& x : {a, b, large, large.slice(1000, 2000)}) {
      EXPECT_TRUE(cuda::is_pinned(x.raw()));
      EXPECT_FALSE(cuda::is_pinned(x.to(Device::cuda).raw()));
    }
    for (const Tensor& x : {a, b, large}) EXPECT_EQ(reinterpret_cast<uintptr_t>(x.raw()) % 64, 0u);
    EXPECT_EQ(a.to_vector<float>(), std::vector<float>(100, 1));
    EXPECT_EQ(large.to_vector<float>()[1 << 17], 2);
    const void* place = a.raw();
    a = Tensor();
    const cuda::PinnedMemory pinned;
    if (pieces) {
      EXPECT_EQ(Tensor::zeros({100}).raw(), place) << "what was given back is not kept";
    }
  }
}

}  // namespace rmt::test
