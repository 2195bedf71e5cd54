// Gradients of the parts of a step, added up in one launch a part: the bits are those of additions
// parameter by parameter.
#include "train/part_sums.h"

#include <gtest/gtest.h>

#include <cstring>

#include "autograd/backward.h"
#include "core/cuda/graph.h"
#include "ops/mul.h"
#include "ops/sum.h"
#include "tests/check_op.h"
#include "tests/device.h"
#include "train/gradient_sums.h"

namespace rmt::test {
namespace {

using namespace train;
using PartSumsTest = OnDevice;

constexpr int64_t kParts = 4;
const std::vector<int64_t> kSizes = {1, 7, 4096, 4097, 13000, 3, 64};

// The gradient of parameter i in a part; undefined where it has none: 5 in all but part 2, 6 in all
// parts, 1 in part 1. Of parameter 2 it begins at no multiple of 16 bytes. Zeros are negative ones.
Tensor gradient(size_t i, int64_t part) {
  if (i == 6 || (i == 5 && part != 2) || (i == 1 && part == 1)) return {};
  const int64_t n = kSizes[i];
  const Tensor host = randn({n + 1}, uint64_t(100 * part) + i).to(DType::f32);
  host.data<float>()[1] = -0.f;
  const Tensor there = on_device(host);
  return i == 2 ? there.slice(1, n + 1) : there.slice(0, n);
}

// Part by part with Tensor::add_from; undefined where no part has one.
Tensor sum_by_hand(size_t i) {
  Tensor sum;
  for (int64_t part = 0; part < kParts; ++part) {
    const Tensor g = gradient(i, part);
    if (!g.defined()) continue;
    if (sum.defined())
      sum.add_from(g);
    else
      sum = g.clone();
  }
  return sum;
}

struct Leaves {
  std::vector<Tensor> p, sums;
  std::vector<Tensor*> parameters;
  Leaves() {
    for (int64_t n : kSizes) {
      p.push_back(leaf(Tensor::zeros({n}, DType::f32, Device::cuda)));
      sums.push_back(Tensor::full({n}, 1e9, DType::f32, Device::cuda));  // of no meaning yet
    }
    for (Tensor& x : p) parameters.push_back(&x);
  }
};

void expect_same_bits(const Tensor& a, const Tensor& b, size_t i) {
  const Tensor x = a.to(Device::cpu), y = b.to(Device::cpu);
  EXPECT_EQ(std::memcmp(x.raw(), y.raw(), x.nbytes()), 0) << "parameter " << i;
}

#ifndef RMT_CUDA
int64_t launches() { return emulator::counters().launches; }
#endif

}  // namespace

TEST_F(PartSumsTest, HaveTheBitsOfAdditionsOneByOne) {
  for_thread_orders([] {
    Leaves l;
    PartSums sums(l.parameters, l.sums, kParts);
    for (int step = 0; step < 2; ++step) {
      for (int64_t part = 0; part < kParts; ++part) {
        for (size_t i = 0; i < kSizes.size(); ++i)
          if (const Tensor g = gradient(i, part); g.defined()) set_grad(l.p[i], g);
#ifndef RMT_CUDA
        const int64_t before = launches();
        sums.add(part);
        EXPECT_EQ(launches() - before, 1);
#else
        sums.add(part);
#endif
        for (const Tensor& p : l.p) EXPECT_FALSE(grad(p).defined());
      }
      for (size_t i = 0; i < kSizes.size(); ++i) {
        const Tensor want = sum_by_hand(i);
        ASSERT_EQ(sums.has(i), want.defined()) << i;
        if (want.defined()) expect_same_bits(l.sums[i], want, i);
      }
    }
  });
}

// Recorded, the tables are sent afterwards; repeated, the sums begin anew.
TEST_F(PartSumsTest, AreRecordedAndRepeated) {
  Leaves l;
  PartSums sums(l.parameters, l.sums, kParts);
  std::vector<std::vector<Tensor>> gradients;
  for (int64_t part = 0; part < kParts; ++part) {
    gradients.emplace_back();
    for (size_t i = 0; i < kSizes.size(); ++i) gradients.back().push_back(gradient(i, part));
  }
  cuda::Graph graph;
  graph.capture([&] {
    for (int64_t part = 0; part < kParts; ++part) {
      for (size_t i = 0; i < kSizes.size(); ++i)
        if (const Tensor& g = gradients[size_t(part)][i]; g.defined()) set_grad(l.p[i], g);
      sums.add(part);
    }
  });
  sums.send_tables();
  for (int launch = 0; launch < 2; ++launch) {
    graph.launch();
    for (size_t i = 0; i < kSizes.size(); ++i)
      if (sums.has(i)) expect_same_bits(l.sums[i], sum_by_hand(i), i);
  }
}

TEST_F(PartSumsTest, APartTooManyIsAnError) {
  Leaves l;
  PartSums sums(l.parameters, l.sums, 2);
  expect_error([&] { sums.add(2); }, {"part 2 of 2"});
  l.p[0] = leaf(Tensor::zeros({1}));
  expect_error([&] { PartSums(l.parameters, l.sums, 2); }, {"f32 on a GPU"});
}

// What a step sees of it (GradientSums): the gradient of a parameter is the sum, and one that no
// part speaks of stays without.
TEST_F(PartSumsTest, GradientSumsLeavesThemBesideTheParameters) {
  Leaves l;
  GradientSums sums(l.parameters, alone(), kBucketBytes, kParts);
  for (int step = 0; step < 2; ++step) {
    for (const Tensor& p : l.p) clear_grad(p);
    sums.begin();
    for (int64_t part = 0; part < kParts; ++part) {
      for (size_t i = 0; i < kSizes.size(); ++i)
        if (const Tensor g = gradient(i, part); g.defined())
          backward(ops::sum(ops::mul(l.p[i], g)));
      if (part + 1 < kParts) sums.part_done();
    }
    sums.finish();
    for (size_t i = 0; i < kSizes.size(); ++i) {
      const Tensor want = sum_by_hand(i);
      ASSERT_EQ(grad(l.p[i]).defined(), want.defined()) << i;
      if (want.defined()) expect_same_bits(grad(l.p[i]), want, i);
    }
  }
}

}  // namespace rmt::test
