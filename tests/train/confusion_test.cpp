#include "train/confusion.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/check_op.h"
#include "train/metrics.h"

namespace rmt::test {
using namespace train;
namespace {

// Class 0: one of three right, twice 2. Class 1: no image. Class 2: right, and once no answer.
// Class 3: right, with two equal logits.
const Tensor kLogits = Tensor::from<float>(
    {9, 0, 0, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 9, 0, std::nanf(""), 0, 9, 0, 0, 0, 0, 9}, {6, 4});
const Tensor kLabels = Tensor::from<int64_t>({0, 0, 0, 2, 2, 3}, {6});

}  // namespace

TEST(Confusion, CountsAnswersAsTop1Does) {
  Confusion c(4);
  c.add(kLogits, kLabels);
  EXPECT_EQ(c.count(0, 0), 1);
  EXPECT_EQ(c.count(0, 2), 2);
  EXPECT_EQ(c.count(2, 2), 1);
  EXPECT_EQ(c.images(2), 2) << "an image without an answer is one all the same";
  Metrics m;
  m.add(kLogits, kLabels);
  int64_t right = 0;
  for (int64_t k = 0; k < 4; ++k) right += c.count(k, k);
  EXPECT_EQ(right, m.top1);
  Confusion equal(2);
  equal.add(Tensor::from<float>({1, 1}, {1, 2}), Tensor::from<int64_t>({1}, {1}));
  EXPECT_EQ(equal.count(1, 0), 1) << "of equals the first";

  const std::vector<ClassResult> r = results_by_class(c);
  ASSERT_EQ(r.size(), 3u) << "class 1 has no image";
  EXPECT_EQ(r[0].index, 0);
  EXPECT_EQ(r[0].rival, 2);
  EXPECT_EQ(r[0].rival_count, 2);
  EXPECT_EQ(r[1].index, 2);
  EXPECT_EQ(r[1].top1(), 50);
  EXPECT_EQ(r[1].rival, -1);
  EXPECT_EQ(r[2].index, 3);
}

TEST(Confusion, AsTables) {
  Confusion c(4);
  c.add(kLogits, kLabels);
  const ClassNames names{{"a,b", "c", "d", "e"}, {"", "", "dog, hound", ""}};
  EXPECT_EQ(confusion_csv(c, names),
            "true class,\"a,b\",c,d,e\n\"a,b\",1,0,2,0\nc,0,0,0,0\nd,0,0,1,0\ne,0,0,0,1\n");
  EXPECT_EQ(class_table(results_by_class(c), names),
            "  top-1 %  images  class\n"
            "    33.33       3  a,b; 2 as dog\n"
            "    50.00       2  dog\n"
            "   100.00       1  e\n");
}

TEST(Confusion, IsBoundedInMemory) {
  expect_error([] { Confusion(8193); }, {"8193 x 8193", "--confusion"});
  Confusion none(0);
  none.add(kLogits, kLabels);
  EXPECT_TRUE(results_by_class(none).empty());
}

}  // namespace rmt::test
