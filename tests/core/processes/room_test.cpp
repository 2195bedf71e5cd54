// What must hold in the room that this test program was started in: alone, or one of the processes
// of mpirun (tests/processes.sh). Every rank knows what the others hold: a hash of rank and place.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/processes/rooms.h"
#include "tests/device.h"
#include "tests/room.h"

namespace rmt {
namespace {

using test::room;

// Numbers of very different sizes, so that another order of a sum has other bits.
Tensor numbers_of(int64_t rank, int64_t n, DType dtype, uint32_t salt = 0) {
  const Tensor x = Tensor::empty({n}, dtype);
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    for (int64_t i = 0; i < n; ++i) {
      const uint32_t h = (uint32_t(i) * 2654435761u) ^ (uint32_t(rank + 1) * 40503u) ^ salt;
      const float value = float(int(h % 201) - 100);
      if constexpr (std::is_integral_v<T>)
        x.data<T>()[i] = T(std::abs(value));
      else
        x.data<T>()[i] = T(value * std::exp2(float(h >> 11 & 15)) / 3);
    }
  });
  return x;
}

Tensor ordered_sum(int64_t n, DType dtype, uint32_t salt = 0) {
  const Tensor sum = numbers_of(0, n, dtype, salt);
  for (int64_t r = 1; r < room().size(); ++r) sum.add_from(numbers_of(r, n, dtype, salt));
  return sum;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device::cpu), y = b.to(Device::cpu);
  return x.nbytes() == y.nbytes() && std::memcmp(x.raw(), y.raw(), x.nbytes()) == 0;
}

TEST(Room, IsTheOneThatTheLauncherSays) {
  const Launch launch = launch_of_environment();
  EXPECT_EQ(room().size(), launch.size);
  EXPECT_EQ(room().rank(), launch.rank);
}

TEST(Room, SumsHaveTheBitsOfTheOrderOfRanks) {
  for (DType dtype : {DType::f32, DType::f64, DType::i32, DType::i64})
    for (int64_t n : {0, 1, 2, 3, 7, 1000, 100003}) {
      const Tensor x = numbers_of(room().rank(), n, dtype);
      room().all_reduce(x);
      EXPECT_TRUE(same_bits(x, ordered_sum(n, dtype))) << n << " of " << name_of(dtype);
    }
}

// More than the 64 MiB that go in one piece.
TEST(Room, ALongTensorIsSummedWhole) {
  const int64_t n = (int64_t(16) << 20) + 5;
  const Tensor x = numbers_of(room().rank(), n, DType::f32);
  room().all_reduce(x);
  EXPECT_TRUE(same_bits(x, ordered_sum(n, DType::f32)));
}

TEST(Room, SumsGoOnWhileOtherCallsAreMade) {
  std::vector<Tensor> sums;
  for (uint32_t i = 0; i < 20; ++i) {
    sums.push_back(numbers_of(room().rank(), 1 + 3000 * int64_t(i), DType::f32, i));
    room().start_all_reduce(sums.back());
    if (i % 5 == 0) room().all_gather(Tensor::zeros({3}));
  }
  room().wait();
  for (uint32_t i = 0; i < 20; ++i)
    EXPECT_TRUE(same_bits(sums[i], ordered_sum(sums[i].numel(), DType::f32, i))) << i;
}

TEST(Room, EveryRankCanTellTheOthers) {
  for (DType dtype : {DType::f32, DType::f64, DType::bf16, DType::i32, DType::i64, DType::u8})
    for (int64_t root = 0; root < room().size(); ++root) {
      const Tensor x = numbers_of(room().rank(), 1001, dtype);
      room().broadcast(x, root);
      EXPECT_TRUE(same_bits(x, numbers_of(root, 1001, dtype)));
      room().barrier();
    }
}

TEST(Room, GatheredTensorsStandInTheOrderOfRanks) {
  for (DType dtype : {DType::bf16, DType::f64, DType::u8}) {
    const Tensor all = room().all_gather(numbers_of(room().rank(), 15, dtype).view({3, 5}));
    ASSERT_EQ(all.shape(), (Shape{room().size(), 3, 5}));
    for (int64_t r = 0; r < room().size(); ++r)
      EXPECT_TRUE(same_bits(all.slice(r, r + 1), numbers_of(r, 15, dtype)));
  }
}

// Has each process a GPU of its own?
bool all_have_gpus() {
  int64_t here = 0;
  try {
    if (!cuda::emulated()) cuda::select(gpu_of_process());
    here = cuda::available();
  } catch (const Error&) {
  }
  const Tensor count = Tensor::from<int64_t>({here}, {1});
  room().all_reduce(count);
  return count.item<int64_t>() == room().size();
}

TEST(Room, TensorsOnTheGpu) {
  if (!all_have_gpus()) GTEST_SKIP() << "a GPU for each process: " << cuda::why_not();
  Processes& gpus = test::room_of_gpus();
  const int64_t rank = gpus.rank(), last = gpus.size() - 1;
  const Tensor x = numbers_of(rank, 1003, DType::f32).to(Device::cuda);
  gpus.all_reduce(x);
  EXPECT_TRUE(same_bits(x, ordered_sum(1003, DType::f32)));
  const Tensor all = gpus.all_gather(numbers_of(rank, 7, DType::bf16).to(Device::cuda));
  EXPECT_EQ(all.device(), Device::cuda);
  EXPECT_TRUE(same_bits(all.slice(last, last + 1), numbers_of(last, 7, DType::bf16)));
  const Tensor y = numbers_of(rank, 9, DType::f32).to(Device::cuda);
  gpus.broadcast(y, last);
  EXPECT_TRUE(same_bits(y, numbers_of(last, 9, DType::f32)));
}

}  // namespace
}  // namespace rmt
