// Tensors in the memory of the device, real or emulated: they behave as those of the host do, and
// what cannot work says so.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "autograd/backward.h"
#include "ops/add.h"
#include "ops/attention/manhattan_attention.h"
#include "ops/batch_norm.h"
#include "ops/conv2d.h"
#include "ops/cross_entropy.h"
#include "ops/depthwise_conv2d.h"
#include "ops/gelu.h"
#include "ops/kernels/dispatch.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/mul.h"
#include "ops/normalize.h"
#include "ops/residual_add.h"
#include "tests/check_op.h"
#include "tests/device.h"

namespace rmt::test {
namespace {

constexpr DType kTypes[] = {DType::f32, DType::bf16, DType::f64, DType::i32, DType::i64, DType::u8};

// 0 ... 200 with fractions where the type has them: numbers that every type can be converted from.
Tensor numbers(DType dtype, int64_t n = 1037) {
  Tensor x = Tensor::empty({n}, DType::f64);
  for (int64_t i = 0; i < n; ++i) x.data<double>()[i] = std::fmod(0.37 * double(i), 200);
  return x.to(dtype);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device::cpu), y = b.to(Device::cpu);
  return x.shape() == y.shape() && x.dtype() == y.dtype() &&
         std::memcmp(x.raw(), y.raw(), x.nbytes()) == 0;
}

using DeviceTensor = OnDevice;

}  // namespace

TEST_F(DeviceTensor, ThereAndBackInEveryType) {
  for (DType dtype : kTypes) {
    const Tensor x = numbers(dtype), there = x.to(Device::cuda);
    EXPECT_EQ(there.device(), Device::cuda);
    EXPECT_EQ(there.dtype(), dtype);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(there.raw()) % 256, 0u);
    EXPECT_TRUE(same_bits(there, x)) << dtype;
    EXPECT_TRUE(there.to(Device::cuda).same_as(there)) << "a second copy where none is needed";
    const Tensor own = there.clone();
    there.fill(7);
    EXPECT_TRUE(same_bits(own, x)) << dtype << ": clone() shares its storage";
    EXPECT_TRUE(same_bits(there, Tensor::full({1037}, 7, dtype))) << dtype;
  }
}

TEST_F(DeviceTensor, TheSourceOfACopyMayBeChangedAtOnce) {
  LazyDevice lazy;
  Tensor x = Tensor::full({5 << 20}, 1);  // 20 MiB: more than all staging buffers
  const Tensor there = on_device(x);
  x.fill(2);
  const Tensor back = there.to(Device::cpu);
  EXPECT_EQ(std::count(back.data<float>(), back.data<float>() + back.numel(), 1.f), back.numel());
}

TEST_F(DeviceTensor, ConvertsAsTheHostDoes) {
  for (DType from : kTypes)
    for (DType to : kTypes) {
      const Tensor x = numbers(from, 131), expected = x.to(to);
      EXPECT_TRUE(same_bits(on_device(x).to(to), expected)) << from << " to " << to;
      const Tensor there = Tensor::empty({131}, to, Device::cuda), here = Tensor::empty({131}, to);
      there.copy_from(x);  // host to device and converted
      EXPECT_TRUE(same_bits(there, expected)) << from << " to " << to;
      here.copy_from(on_device(x));  // device to host and converted
      EXPECT_TRUE(same_bits(here, expected)) << from << " to " << to;
    }
}

TEST_F(DeviceTensor, ZerosFullFill) {
  for (DType dtype : kTypes) {
    EXPECT_TRUE(
        same_bits(Tensor::zeros({3, 7}, dtype, Device::cuda), Tensor::zeros({3, 7}, dtype)));
    EXPECT_TRUE(same_bits(Tensor::full({3, 7}, 3.25, dtype, Device::cuda),
                          Tensor::full({3, 7}, 3.25, dtype)))
        << dtype;
  }
}

TEST_F(DeviceTensor, ViewsAndSlicesShareWhatTheyShow) {
  const Tensor x = on_device(numbers(DType::f32, 42).view({6, 7}));
  x.slice(1, 2).fill(-1);  // 28 bytes in: no vector access is aligned there
  x.view({3, 14}).slice(2, 3).add_from(Tensor::full({1, 14}, 1, DType::f32, Device::cuda));
  std::vector<float> expected = numbers(DType::f32, 42).to_vector<float>();
  for (size_t i = 0; i < 42; ++i)
    expected[i] = i / 7 == 1 ? -1 : i >= 28 ? expected[i] + 1 : expected[i];
  EXPECT_EQ(x.to_vector<float>(), expected);
  EXPECT_EQ(x.slice(4, 5).to_vector<float>(),
            std::vector<float>(expected.begin() + 28, expected.begin() + 35));
  EXPECT_EQ(x.view({42}).slice(29, 30).item<float>(), expected[29]);
}

TEST_F(DeviceTensor, AddsAsTheHostDoes) {
  for (DType dtype : kTypes)
    for (int64_t begin : {0, 1}) {
      const Tensor a = numbers(dtype, 100).to(DType::f64).slice(begin, 60).to(dtype),
                   b = numbers(dtype, 100).slice(begin, 60);
      const Tensor sum = on_device(numbers(dtype, 100)).slice(begin, 60);
      for (int i = 0; i < 3; ++i) sum.add_from(on_device(b)), a.add_from(b);
      EXPECT_TRUE(same_bits(sum, a)) << dtype << " from element " << begin;
    }
}

TEST_F(DeviceTensor, AllFinite) {
  for (DType dtype : {DType::f32, DType::f64, DType::bf16})
    for (int64_t begin : {0, 1}) {
      for (int64_t bad : {-1, 0, 5, 36})  // in the first pack, in the middle, in the tail
        for (double value : {double(NAN), double(INFINITY), -double(INFINITY)}) {
          Tensor x = numbers(DType::f64, 40);
          if (bad >= 0) x.slice(begin, 38).data<double>()[bad] = value;
          EXPECT_EQ(on_device(x.to(dtype)).slice(begin, 38).all_finite(), bad < 0)
              << dtype << ", element " << bad << " from " << begin;
        }
    }
  EXPECT_TRUE(on_device(numbers(DType::i32)).all_finite());
}

TEST_F(DeviceTensor, EmptyAndUndefined) {
  const Tensor x = Tensor::zeros({0, 4}, DType::f32, Device::cuda);
  EXPECT_EQ(x.device(), Device::cuda);
  x.fill(1);
  x.add_from(x.clone());
  EXPECT_TRUE(x.all_finite());
  EXPECT_EQ(x.to(DType::bf16).to(Device::cpu).dim(1), 4);
  EXPECT_TRUE(x.to_vector<float>().empty());
  EXPECT_FALSE(Tensor().to(Device::cuda).defined());
}

TEST_F(DeviceTensor, RefusesWhatOnlyTheHostCan) {
  const Tensor x = Tensor::zeros({2, 3}, DType::f32, Device::cuda), here = Tensor::zeros({2, 3});
  expect_error([&] { x.data<float>(); }, {"on the GPU", "to(Device::cpu)"});
  expect_error([&] { x.data<double>(); }, {"f32", "f64"});
  expect_error([&] { x.item<float>(); }, {"(2, 3)"});
  expect_error([&] { x.add_from(here); }, {"on cpu", "on cuda"});
  expect_error([&] { x.add_from(x.to(DType::f64)); }, {"f64", "f32"});
  expect_error([&] { set_grad(leaf(x), here); }, {"set_grad", "on cpu", "on cuda"});
}

TEST_F(DeviceTensor, AnOpOnTwoDevicesNamesItselfAndThem) {
  auto r = [](const Shape& shape, Device device) { return randn(shape).to(DType::f32).to(device); };
  for (auto [one, other] : {std::pair{Device::cpu, Device::cuda}, {Device::cuda, Device::cpu}}) {
    const std::vector<std::string> devices{"on cpu", "on cuda", "Tensor::to(Device)"};
    auto expect = [&](const char* op, const std::function<void()>& f) {
      std::vector<std::string> parts = devices;
      parts.push_back(op);
      expect_error(f, parts);
    };
    const Tensor x = r({2, 4, 4, 8}, one), logits = r({2, 8}, one);
    expect("add", [&] { ops::add(x, r({2, 4, 4, 8}, other)); });
    expect("mul", [&] { ops::mul(x, r({2, 4, 4, 8}, other)); });
    expect("residual_add", [&] { ops::residual_add(x, x, r({8}, other)); });
    expect("linear", [&] { ops::linear(x, r({8, 8}, other)); });
    expect("layer_norm", [&] { ops::layer_norm(x, r({8}, other), r({8}, other), 1e-6); });
    expect("batch_norm", [&] { ops::batch_norm(x, r({8}, other), r({8}, other), {}, {}, {}); });
    expect("conv2d", [&] { ops::conv2d(x, r({8, 8, 3, 3}, other), {}, 1, 1); });
    expect("depthwise", [&] { ops::depthwise_conv2d(x, r({8, 1, 3, 3}, other), {}); });
    expect("residual_add", [&] { ops::residual_add(x, r({2, 4, 4, 8}, other)); });
    expect("cross_entropy", [&] { ops::cross_entropy(logits, r({2, 8}, other)); });
    expect("manhattan_attention", [&] {
      ops::manhattan_attention(x, r({2, 4, 4, 8}, other), x, r({1}, one), {}, {.heads = 1});
    });
    expect("normalize", [&] {
      ops::normalize(Tensor::zeros({2, 4, 4, 3}, DType::u8, one),
                     Tensor::zeros({2}, DType::u8, other), {}, DType::f32);
    });
  }
}

TEST_F(DeviceTensor, AnErrorInAKernelNamesTheOpAndItsShape) {
  const Tensor x = Tensor::zeros({2, 3}, DType::bf16, Device::cuda);
  const auto fail = [](const bf16*, int64_t n) {
    n ? throw OutOfMemory(3, 2, 1) : throw Error("the cause");
  };
  void (*const kernel)(const bf16*, int64_t) = fail;
  expect_error([&] { call("some_op", x, kernel, x, 0); }, {"some_op of bf16 (2, 3): the cause"});
  EXPECT_THROW(call("some_op", x, kernel, x, 1), OutOfMemory) << "this one keeps its type";
  expect_error(
      [] {
        ops::gelu(Tensor::zeros({2, 3}, DType::i32, Device::cuda));
      },
      {"gelu", "i32 on cuda", "Tensor::to(DType::f32)"});
}

TEST_F(DeviceTensor, WithoutAKernelOneMovesOrConverts) {
  const Tensor x = Tensor::zeros({2}, DType::f32, Device::cuda);
  expect_error([&] { refuse("op", x); }, {"op: no kernel for f32 on cuda", "to(Device)"});
  const Tensor steps = Tensor::zeros({2}, DType::i64);
  expect_error([&] { refuse("op", steps); }, {"op: no kernel for i64 on cpu", "to(DType::f32)"});
}

TEST_F(DeviceTensor, MemoryIsCountedForEachDevice) {
  const size_t live = memory_use(Device::cuda).live, host = memory_use().live;
  reset_peak_memory(Device::cuda);
  {
    Tensor a = Tensor::empty({1 << 20}, DType::f32, Device::cuda);
    a = Tensor();
    const Tensor b = Tensor::empty({1 << 18}, DType::f32, Device::cuda);
    EXPECT_EQ(memory_use(Device::cuda).live - live, size_t(1) << 20);
    EXPECT_EQ(memory_use(Device::cuda).peak - live, size_t(4) << 20);
  }
  EXPECT_EQ(memory_use(Device::cuda).live, live);
  EXPECT_EQ(memory_use().live, host) << "the device's memory is counted as the host's";
  reset_peak_memory(Device::cuda);
  EXPECT_EQ(memory_use(Device::cuda).peak, live);
}

TEST_F(DeviceTensor, OutOfMemorySaysWhatWasAskedForAndWhatIsFree) {
  const int64_t giant = int64_t(1) << 48;
  expect_error([&] { Tensor::empty({giant}, DType::u8, Device::cuda); },
               {"GPU out of memory", str(giant >> 20, " MiB asked for"), "free", "held by tensors",
                "smaller batch"});
  LittleMemory little(size_t(8) << 20);
  const size_t live = memory_use(Device::cuda).live;
  Tensor most = Tensor::full({6 << 20}, 1, DType::u8, Device::cuda);
  try {
    Tensor::empty({3 << 20}, DType::u8, Device::cuda);
    ADD_FAILURE() << "9 MiB out of 8";
  } catch (const OutOfMemory& e) {
    EXPECT_EQ(e.asked, size_t(3) << 20);
    EXPECT_LE(e.free, size_t(3) << 20);
    EXPECT_GE(e.in_use, live + (size_t(6) << 20));
  }
  EXPECT_EQ(memory_use(Device::cuda).live - live, most.nbytes())
      << "what was not to be had is counted";
  EXPECT_EQ(most.slice(77, 78).item<uint8_t>(), 1) << "what is held stays";
  most = Tensor();
  EXPECT_NO_THROW(Tensor::empty({7 << 20}, DType::u8, Device::cuda))
      << "memory that was let go of serves again";
}

// The library reads RMT_DEBUG once, so a process of its own sees it: gtest starts this program
// again up to the statement.
TEST_F(DeviceTensor, DebuggingNamesTheFirstOpThatIsNotFinite) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto message_of = [](const std::function<void()>& f) {
    try {
      f();
    } catch (const Error& e) {
      std::fprintf(stderr, "%s\n", e.what());
    }
    std::exit(0);
  };
  setenv("RMT_DEBUG", "1", 1);
  for (Device device : {Device::cuda, Device::cpu}) {
    const std::string on = str(" on ", device, " is not finite");
    EXPECT_EXIT(message_of([&] {
                  const Tensor big = Tensor::full({2, 3}, 1e38, DType::f32, device);
                  ops::gelu(ops::mul(ops::add(big, big), big));
                }),
                testing::ExitedWithCode(0), "^mul: a result of shape \\(2, 3\\)" + on);
    EXPECT_EXIT(message_of([&] {
                  const Tensor x = leaf(Tensor::full({2, 3}, 1e38, DType::f32, device));
                  backward(ops::mul(x, Tensor::full({2, 3}, 1e-38, DType::f32, device)),
                           Tensor::full({2, 3}, 10, DType::f32, device));
                  backward(ops::mul(leaf(Tensor::full({2, 3}, 1, DType::f32, device)), x.detach()),
                           Tensor::full({2, 3}, 10, DType::f32, device));
                }),
                testing::ExitedWithCode(0), "^backward of mul: a result of shape \\(2, 3\\)" + on);
  }
  unsetenv("RMT_DEBUG");
}

}  // namespace rmt::test
