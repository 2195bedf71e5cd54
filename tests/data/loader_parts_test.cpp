// A loader in each of several processes: together they make what one makes alone.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>

#include "core/cuda/device.h"
#include "core/cuda/pinned.h"
#include "data/loader.h"
#include "tests/data/folder_maker.h"
#include "tests/train/own_model.h"

namespace rmt::test {
namespace {

using namespace data;

LoaderOptions options(int64_t rank, int64_t ranks, int64_t batch_size) {
  LoaderOptions o;
  o.batch_size = batch_size, o.rank = rank, o.ranks = ranks, o.workers = int(rank % 3), o.seed = 5;
  o.transform.image_size = 12;
  o.transform.erasing.probability = 0.5;
  o.transform.augment = parse_augment("rand-m9-mstd0.5-inc1");
  o.mix = {.mixup = 0.8, .cutmix = 1};
  return o;
}

std::vector<Batch> epoch(Loader& loader, int64_t number, int64_t first = 0) {
  std::vector<Batch> batches;
  loader.start(number, first);
  while (std::optional<Batch> b = loader.next()) batches.push_back(*b);
  return batches;
}

bool equal(const Batch& a, const Batch& b) {
  for (Tensor Batch::*field : kBatchTensors) {
    const Tensor &x = a.*field, &y = b.*field;
    if (x.defined() != y.defined()) return false;
    if (!x.defined()) continue;
    if (x.shape() != y.shape() || std::memcmp(x.raw(), y.raw(), x.nbytes()) != 0) return false;
  }
  return a.indices == b.indices;
}

}  // namespace

TEST(LoaderParts, BatchesInPinnedMemoryAreTheSame) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  const Noise images(70);
  for (int64_t rank : {0, 1, 2}) {  // with so many workers
    LoaderOptions o = options(rank, 3, 4);
    Loader usual(images, o);
    o.pinned = true;
    Loader pinned(images, o);
    const std::vector<Batch> want = epoch(usual, 1), have = epoch(pinned, 1);
    ASSERT_EQ(want.size(), have.size());
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_TRUE(equal(want[i], have[i]));
      for (Tensor Batch::*field : kBatchTensors)
        if ((have[i].*field).defined()) {
          EXPECT_TRUE(cuda::is_pinned((have[i].*field).raw()));
          EXPECT_FALSE(cuda::is_pinned((want[i].*field).raw()));
        }
    }
  }
}

// 70 images three times are 70 samples: 17 batches of 4 for one process, 5 of each of three.
TEST(LoaderParts, RProcessesMakeTheBatchesThatOneMakes) {
  const Noise images(70);
  for (int64_t repeats : {1, 3}) {
    LoaderOptions one = options(0, 1, 4);
    one.repeats = repeats;
    Loader alone(images, one);
    const std::vector<Batch> want = epoch(alone, 2);
    ASSERT_EQ(want.size(), 17u);
    for (int64_t R : {1, 2, 3, 17})
      for (int64_t rank = 0; rank < R; ++rank) {
        LoaderOptions o = options(rank, R, 4);
        o.repeats = repeats;
        Loader loader(images, o);
        ASSERT_EQ(loader.batches(), 17 / R);
        for (int64_t first : {int64_t(0), loader.batches() - 1}) {
          const std::vector<Batch> got = epoch(loader, 2, first);
          ASSERT_EQ(int64_t(got.size()), loader.batches() - first);
          for (size_t i = 0; i < got.size(); ++i)
            EXPECT_TRUE(equal(got[i], want[size_t((first + int64_t(i)) * R + rank)]))
                << "rank " << rank << " of " << R << ", batch " << i << " from " << first;
        }
      }
  }
}

// A global batch that one process makes, cut into parts, samples and all; without mixing, whose
// partners are in the part.
TEST(LoaderParts, PartsOfABatchAreThoseOfTheWholeBatch) {
  const Noise images(70);
  LoaderOptions whole = options(0, 1, 12);
  whole.mix = {};
  Loader alone(images, whole);
  const std::vector<Batch> want = epoch(alone, 1);
  ASSERT_EQ(want.size(), 5u);
  for (int64_t R : {2, 3, 4})
    for (int64_t rank = 0; rank < R; ++rank) {
      const int64_t size = 12 / R;
      LoaderOptions o = options(rank, R, size);
      o.mix = {};
      Loader loader(images, o);
      const std::vector<Batch> got = epoch(loader, 1);
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < got.size(); ++i) {
        Batch part;
        for (Tensor Batch::*field : kBatchTensors)
          if ((want[i].*field).defined())
            part.*field = (want[i].*field).slice(rank * size, (rank + 1) * size);
        const auto first = want[i].indices.begin() + rank * size;
        part.indices.assign(first, first + size);
        EXPECT_TRUE(equal(got[i], part)) << "rank " << rank << " of " << R << ", batch " << i;
      }
    }
}

TEST(LoaderParts, EvaluationSeesEveryImageOnceInRunsOfWholeBatches) {
  const Noise images(70);
  for (int64_t R : {1, 2, 3, 8, 30}) {  // 18 batches of 4, the last of 2
    std::vector<int64_t> seen;
    for (int64_t rank = 0; rank < R; ++rank) {
      LoaderOptions o = options(rank, R, 4);
      o.train = false;
      Loader loader(images, o);
      EXPECT_TRUE(loader.batches() == 18 / R || loader.batches() == 18 / R + 1);
      for (const Batch& b : epoch(loader, 0)) {
        EXPECT_EQ(b.indices.size(), b.indices[0] == 68 ? 2u : 4u);
        seen.insert(seen.end(), b.indices.begin(), b.indices.end());
      }
    }
    ASSERT_EQ(seen.size(), 70u) << R << " processes";
    for (int64_t i = 0; i < 70; ++i) ASSERT_EQ(seen[size_t(i)], i);
  }
}

// Given one and the same permutation, a step sees the samples that DeiT's sampler deals out for it
// (tests/golden/ra_sampler.py), and an epoch has as many steps. Its k-th sample of rank r is place
// k W + r of the threefold order; here it is in the part that holds this place.
TEST(LoaderParts, AStepSeesTheSamplesOfTheOfficialSampler) {
  std::ifstream golden("tests/golden/ra_sampler.txt");
  std::string word;
  int64_t N = 0, W = 0, B = 0, steps = 0;
  ASSERT_TRUE(golden >> word >> N) << "tests/golden/ra_sampler.txt";
  std::vector<int64_t> official(static_cast<size_t>(N));  // its permutation
  for (int64_t& i : official) golden >> i;
  const Noise images(N);
  const Permutation ours(N, 5, 7);
  std::map<int64_t, int64_t> place;  // of an image in the official order
  std::vector<int64_t> our_place(static_cast<size_t>(N));
  for (int64_t i = 0; i < N; ++i) {
    place[official[size_t(i)]] = i;
    our_place[size_t(ours(i))] = i;
  }
  int cases = 0;
  for (; golden >> word >> W >> B >> steps; ++cases) {
    std::vector<std::vector<int64_t>> want(static_cast<size_t>(steps)), got = want;
    for (int64_t r = 0; r < W; ++r)
      for (int64_t k = 0, image = 0; k < N / 256 * 256 / W; ++k) {
        golden >> image;
        EXPECT_EQ(place[image], (k * W + r) / 3);
        if (k / B < steps) want[size_t(k / B)].push_back(place[image]);
      }
    for (int64_t r = 0; r < W; ++r) {
      LoaderOptions o = options(r, W, B);
      o.repeats = 3;
      Loader loader(images, o);
      ASSERT_EQ(loader.batches(), steps);
      const std::vector<Batch> batches = epoch(loader, 7);
      for (size_t s = 0; s < batches.size(); ++s)
        for (int64_t i : batches[s].indices) got[s].push_back(our_place[size_t(i)]);
    }
    for (auto* all : {&want, &got})
      for (auto& step : *all) std::sort(step.begin(), step.end());
    EXPECT_EQ(got, want) << W << " processes with batches of " << B;
  }
  EXPECT_EQ(cases, 4);
}

TEST(LoaderParts, WhatCannotBeShared) {
  const Noise images(70);
  auto refused = [&](auto change) {
    LoaderOptions o = options(1, 3, 4);
    change(o);
    return error_of([&] { Loader(images, o); });
  };
  EXPECT_TRUE(contains(refused([](auto& o) { o.rank = 3; }), "rank 3 of 3 processes"));
  EXPECT_TRUE(contains(refused([](auto& o) { o.ranks = 0; }), "rank 1 of 0"));
  EXPECT_TRUE(contains(refused([](auto& o) { o.ranks = 18; }),
                       "fewer than one batch for each of the processes, 18 batches of 4"));
  EXPECT_TRUE(contains(refused([](auto& o) { o.drop_last = false; }), "drop the last batch"));
  EXPECT_TRUE(contains(refused([](auto& o) { o.train = false, o.drop_last = true; }),
                       "no image in evaluation"));
}

}  // namespace rmt::test
