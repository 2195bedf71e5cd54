// BlockHeap hands out addresses and never touches them, so the ranges here are pieces of one array.
#include "core/block_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/random.h"

namespace rmt::test {
namespace {

char arena[4096];

void* at(size_t i) { return arena + i; }

// (offset, bytes) of the ranges that it lets go of.
std::vector<std::pair<size_t, size_t>> release(BlockHeap& heap) {
  std::vector<std::pair<size_t, size_t>> out;
  heap.release_ranges(
      [&](void* p, size_t n) { out.emplace_back(static_cast<char*>(p) - arena, n); });
  return out;
}

}  // namespace

TEST(BlockHeap, TakesTheSmallestBlockThatFitsThenTheLowestAddress) {
  BlockHeap heap;
  heap.add_range(arena, 1000);
  for (size_t i : {0, 100, 400, 500, 700, 800})
    EXPECT_EQ(heap.take(i == 100 ? 300 : i == 500 ? 200 : 100), at(i));  // 900 is left: 100 bytes
  heap.give(at(100), 300), heap.give(at(500), 200);
  EXPECT_EQ(heap.take(150), at(500)) << "of 300, 200 and 100 free bytes";
  EXPECT_EQ(heap.take(60), at(900)) << "of 300, 50 and 100";
  EXPECT_EQ(heap.take(300), at(100));
  EXPECT_EQ(heap.take(51), nullptr);
  EXPECT_EQ(heap.take(40), at(960)) << "of 50 and 40";
  heap.give(at(0), 100), heap.give(at(400), 100);
  EXPECT_EQ(heap.take(100), at(0)) << "of two blocks of 100 the lower";
}

TEST(BlockHeap, FreedNeighboursJoinInWhateverOrder) {
  std::vector<size_t> order{0, 1, 2, 3};
  do {
    BlockHeap heap;
    heap.add_range(arena, 400);
    for (size_t i = 0; i < 4; ++i) ASSERT_EQ(heap.take(100), at(100 * i));
    for (size_t i : order) heap.give(at(100 * i), 100);
    EXPECT_EQ(heap.take(400), at(0));
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(BlockHeap, RangesAreNeverJoinedThoughTheyTouch) {
  for (bool low_first : {true, false}) {
    BlockHeap heap;
    heap.add_range(at(low_first ? 0 : 200), 200);
    heap.add_range(at(low_first ? 200 : 0), 200);
    EXPECT_EQ(heap.take(201), nullptr);
    void *a = heap.take(200), *b = heap.take(200);
    EXPECT_EQ(heap.take(1), nullptr);
    heap.give(low_first ? a : b, 200), heap.give(low_first ? b : a, 200);
    EXPECT_EQ(heap.take(201), nullptr) << "a block across two ranges";
    EXPECT_EQ(heap.take(200), at(0));
  }
}

TEST(BlockHeap, ReleasesRangesThatNobodyUses) {
  BlockHeap heap;
  heap.add_range(at(0), 100);
  heap.add_range(at(100), 200);
  heap.add_range(at(300), 300);
  void* used = heap.take(150);
  ASSERT_EQ(used, at(100));
  EXPECT_EQ(release(heap), (std::vector<std::pair<size_t, size_t>>{{0, 100}, {300, 300}}));
  EXPECT_FALSE(heap.owns(at(99)));
  EXPECT_TRUE(heap.owns(at(100)));
  EXPECT_TRUE(heap.owns(at(299)));
  EXPECT_FALSE(heap.owns(at(300)));
  EXPECT_EQ(heap.take(100), nullptr) << "what was released is handed out no more";
  EXPECT_FALSE(heap.empty());
  void* end = heap.take(50);
  heap.give(used, 150);
  EXPECT_TRUE(release(heap).empty()) << "in use at its end";
  heap.give(end, 50);
  EXPECT_EQ(release(heap), (std::vector<std::pair<size_t, size_t>>{{100, 200}}));
  EXPECT_TRUE(heap.empty());
}

// 20000 random takes and gives in two ranges that touch, beside a map of who has which byte.
TEST(BlockHeap, BlocksNeverOverlapAndNothingIsLost) {
  BlockHeap heap;
  heap.add_range(at(0), 2048);
  heap.add_range(at(2048), 2048);
  std::vector<int> owner(4096, 0);
  std::vector<std::pair<size_t, size_t>> live;
  Random random(1, Purpose::test);
  int taken = 0, refused = 0;
  for (int i = 1; i <= 20000; ++i) {
    if (random.uniform() < 0.52 || live.empty()) {
      const size_t n = size_t(1 + random.below(200));
      char* p = static_cast<char*>(heap.take(n));
      if (!p) {
        ++refused;
        size_t run = 0;  // it must be true that there is no gap of n bytes
        for (size_t b = 0; b < 4096; ++b) {
          run = owner[b] ? 0 : b == 2048 ? 1 : run + 1;
          ASSERT_LT(run, n) << "refused though bytes up to " << b << " are free";
        }
        continue;
      }
      ++taken;
      const size_t begin = size_t(p - arena);
      ASSERT_TRUE(begin / 2048 == (begin + n - 1) / 2048) << "across two ranges";
      for (size_t b = begin; b < begin + n; ++b)
        ASSERT_EQ(std::exchange(owner[b], i), 0) << "byte " << b << " belongs to two";
      live.emplace_back(begin, n);
    } else {
      std::swap(live[size_t(random.below(int64_t(live.size())))], live.back());
      auto [begin, n] = live.back();
      live.pop_back();
      heap.give(at(begin), n);
      std::fill_n(owner.begin() + int64_t(begin), n, 0);
    }
  }
  EXPECT_GT(taken, 5000);
  EXPECT_GT(refused, 500) << "the heap was never full";
  for (auto [begin, n] : live) heap.give(at(begin), n);
  EXPECT_EQ(release(heap).size(), 2u);
}

}  // namespace rmt::test
