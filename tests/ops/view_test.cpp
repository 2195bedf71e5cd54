#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "ops/view.h"
#include "tests/check_op.h"

namespace rmt::test {

TEST(View, Op) {
  auto naive = [](Inputs in) { return in[0].to_vector<double>(); };
  check_op("view",
           [](Inputs in) {
             return ops::view(in[0], {13, -1});
           },
           {randn({7, 13})}, {.reference = naive});
  check_op("view", [](Inputs in) { return ops::view(in[0], {}); }, {randn({1, 1})},
           {.reference = naive});
  check_op("view",
           [](Inputs in) {
             return ops::view(in[0], {3, 0});
           },
           {randn({0, 5})}, {.reference = naive});
}

TEST(View, SharesStorageBothWays) {
  Tensor x = leaf(randn({2, 3, 4})), dy = randn({6, 4});
  Tensor y = ops::view(x, {6, 4});
  EXPECT_EQ(y.raw(), x.raw());
  EXPECT_EQ(str(y.shape()), "(6, 4)");
  backward(y, dy);
  EXPECT_EQ(grad(x).raw(), dy.raw());
  EXPECT_EQ(str(grad(x).shape()), "(2, 3, 4)");
}

TEST(View, OfIntegers) {
  EXPECT_EQ(ops::view(Tensor::from<int64_t>({1, 2, 3, 4}, {4}), {2, 2}).data<int64_t>()[3], 4);
}

TEST(View, Errors) {
  expect_error([] { ops::view({}, {2}); }, {"view", "undefined"});
  expect_error([] { ops::view(randn({2, 3}), {4, 2}); }, {"view", "(2, 3)", "(4, 2)"});
  expect_error([] { ops::view(randn({2, 3}), {-1, 4}); }, {"view", "(2, 3)", "(-1, 4)"});
}

}  // namespace rmt::test
