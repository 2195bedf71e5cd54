// What must hold for processes, whatever carries their numbers: here threads of one process.
#include "core/processes/processes.h"

#include <gtest/gtest.h>

#include "tests/threads_as_processes.h"

namespace rmt {
namespace {

TEST(Processes, OneAloneChangesNothing) {
  Processes& p = alone();
  EXPECT_EQ(p.rank(), 0);
  EXPECT_EQ(p.size(), 1);
  EXPECT_TRUE(p.is_first());
  const Tensor x = Tensor::from<float>({1, 2, 3}, {3});
  p.all_reduce(x);
  p.broadcast(x);
  p.barrier();
  EXPECT_EQ(x.to_vector<float>(), (std::vector<float>{1, 2, 3}));
  const Tensor all = p.all_gather(x);
  EXPECT_EQ(all.shape(), (Shape{1, 3}));
  EXPECT_EQ(all.to_vector<float>(), (std::vector<float>{1, 2, 3}));
}

TEST(Processes, WhatCannotBeAddedIsAnError) {
  EXPECT_THROW(alone().all_reduce(Tensor()), Error);
  EXPECT_THROW(alone().all_reduce(Tensor::zeros({2}, DType::bf16)), Error);
  EXPECT_THROW(alone().broadcast(Tensor::zeros({2}), 1), Error);
  EXPECT_THROW(alone().all_gather(Tensor()), Error);
}

// 1 + 2^-24 + 2^-24 is 1 in the order of the ranks and 1 + 2^-23 in the reverse.
TEST(Processes, SumsAreTakenInTheOrderOfRanks) {
  test::run_as_processes(3, [](Processes& p) {
    const Tensor x = Tensor::full({5}, p.rank() == 0 ? 1 : 0x1p-24);
    p.all_reduce(x);
    EXPECT_EQ(x.to_vector<float>(), std::vector<float>(5, 1));
  });
}

TEST(Processes, GatherAndBroadcast) {
  test::run_as_processes(3, [](Processes& p) {
    const Tensor x = Tensor::from<int64_t>({p.rank(), 10 * p.rank()}, {2});
    const Tensor all = p.all_gather(x);
    EXPECT_EQ(all.shape(), (Shape{3, 2}));
    EXPECT_EQ(all.to_vector<int64_t>(), (std::vector<int64_t>{0, 0, 1, 10, 2, 20}));
    p.broadcast(x, 2);
    EXPECT_EQ(x.to_vector<int64_t>(), (std::vector<int64_t>{2, 20}));
  });
}

}  // namespace
}  // namespace rmt
