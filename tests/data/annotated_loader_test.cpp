// Batches of annotated images: the same bytes whoever makes them, whole epochs, padding, groups.
#include "data/annotated_loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "core/cuda/device.h"
#include "core/cuda/pinned.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {
using namespace data;

// Image i is i + 40 pixels wide where i is even, else high, and 33 the other way; all of colour i.
// Image `broken` cannot be read.
struct Scenes : AnnotatedSet {
  int64_t n, broken;
  std::vector<std::string> names{"thing"};
  std::string where = "scenes";
  explicit Scenes(int64_t n_, int64_t broken_ = -1) : n(n_), broken(broken_) {}
  int64_t size() const override { return n; }
  std::array<int64_t, 2> image_size(int64_t i) const override {
    return i % 2 == 0 ? std::array<int64_t, 2>{40 + i, 33} : std::array<int64_t, 2>{33, 40 + i};
  }
  Example example(int64_t i) const override {
    CHECK(i != broken, name(i), ": is broken");
    const auto [w, h] = image_size(i);
    const uint8_t colour = uint8_t(i + 1);
    Example e{{w, h, std::vector<uint8_t>(size_t(w * h * 3), colour)},
              {w, h, std::vector<uint8_t>(size_t(w * h), colour)},
              {}};
    e.objects.boxes = {{0, 0, float(w), float(h)}};
    e.objects.labels = {0};
    return e;
  }
  const std::vector<std::string>& classes() const override { return names; }
  std::string name(int64_t i) const override { return str("scene ", i); }
  const std::string& place() const override { return where; }
  uint64_t checksum(int64_t i) const override { return uint64_t(i); }
};

// Takes the example as it is and notes a draw in its first pixel.
Sample as_it_is(Example&& e, Draws& draws) {
  Sample s{std::move(e.image), std::move(e.labels), std::move(e.objects), 0, 0};
  s.original_width = s.image.width;
  s.original_height = s.image.height;
  s.image.rgb[0] = uint8_t(draws.integer(0, 256));
  return s;
}

std::vector<Batch> epoch_of(AnnotatedLoader& loader, int64_t epoch, int64_t first = 0) {
  std::vector<Batch> batches;
  loader.start(epoch, first);
  while (auto batch = loader.next()) batches.push_back(std::move(*batch));
  return batches;
}

void expect_same(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.indices, b.indices);
  for (Tensor Batch::*field : kBatchTensors) {
    ASSERT_EQ((a.*field).defined(), (b.*field).defined());
    if (!(a.*field).defined()) continue;
    ASSERT_EQ((a.*field).shape(), (b.*field).shape());
    EXPECT_EQ(std::memcmp((a.*field).raw(), (b.*field).raw(), (a.*field).nbytes()), 0);
  }
}

TEST(AnnotatedLoader, BatchesInPinnedMemoryAreTheSame) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  const Scenes scenes(11);
  AnnotatedLoader usual(scenes, as_it_is, {.batch_size = 3, .seed = 5});
  AnnotatedLoader pinned(scenes, as_it_is, {.batch_size = 3, .seed = 5, .pinned = true});
  const std::vector<Batch> want = epoch_of(usual, 1), have = epoch_of(pinned, 1);
  ASSERT_EQ(want.size(), have.size());
  for (size_t i = 0; i < want.size(); ++i) {
    expect_same(want[i], have[i]);
    for (Tensor Batch::*field : kBatchTensors)
      if ((have[i].*field).defined()) {
        EXPECT_TRUE(cuda::is_pinned((have[i].*field).raw()));
        EXPECT_FALSE(cuda::is_pinned((want[i].*field).raw()));
      }
  }
}

TEST(AnnotatedLoader, ThreadsAndTheFirstBatchChangeNothing) {
  const Scenes scenes(11);
  AnnotatedLoader alone(scenes, as_it_is, {.batch_size = 3, .workers = 0, .seed = 5, .passes = 2});
  const std::vector<Batch> all = epoch_of(alone, 4);
  ASSERT_EQ(all.size(), 7u);  // 22 images
  for (int workers : {1, 3}) {
    AnnotatedLoader loader(scenes, as_it_is,
                           {.batch_size = 3, .workers = workers, .seed = 5, .passes = 2});
    const std::vector<Batch> same = epoch_of(loader, 4), rest = epoch_of(loader, 4, 5);
    ASSERT_EQ(same.size(), all.size());
    ASSERT_EQ(rest.size(), 2u);
    for (size_t b = 0; b < all.size(); ++b) expect_same(same[b], all[b]);
    for (size_t b = 0; b < rest.size(); ++b) expect_same(rest[b], all[b + 5]);
  }
  EXPECT_NE(epoch_of(alone, 5)[0].indices, all[0].indices) << "every epoch has the same order";
}

TEST(AnnotatedLoader, APassShowsEveryImageOnce) {
  const Scenes scenes(10);
  AnnotatedLoader loader(scenes, as_it_is, {.batch_size = 5, .seed = 1, .passes = 3});
  std::map<int64_t, int> shown;
  for (const Batch& b : epoch_of(loader, 0))
    for (int64_t i : b.indices) ++shown[i];
  EXPECT_EQ(shown.size(), 10u);
  for (auto [i, times] : shown) EXPECT_EQ(times, 3) << i;
}

TEST(AnnotatedLoader, ProcessesShareTheBatchesOfOne) {
  const Scenes scenes(13);
  AnnotatedLoader alone(scenes, as_it_is, {.batch_size = 2, .workers = 0});
  const std::vector<Batch> all = epoch_of(alone, 1);
  for (int64_t rank : {0, 1}) {
    AnnotatedLoader part(scenes, as_it_is,
                         {.batch_size = 2, .rank = rank, .ranks = 2, .workers = 0});
    const std::vector<Batch> mine = epoch_of(part, 1);
    ASSERT_EQ(mine.size(), 3u);
    for (size_t b = 0; b < mine.size(); ++b) expect_same(mine[b], all[2 * b + size_t(rank)]);
  }
}

TEST(AnnotatedLoader, GroupsHoldOneShapeAndLoseNoImage) {
  const Scenes scenes(9);  // 5 wide, 4 high
  AnnotatedLoader loader(scenes, as_it_is, {.batch_size = 2, .seed = 3, .group_by_shape = true});
  std::map<int64_t, int> shown;
  const std::vector<Batch> batches = epoch_of(loader, 0);
  EXPECT_EQ(batches.size(), 5u);
  for (const Batch& b : batches) {
    EXPECT_EQ(b.indices[0] % 2, b.indices[1] % 2);
    for (int64_t i : b.indices) ++shown[i];
  }
  EXPECT_EQ(shown.size(), 9u);
}

TEST(AnnotatedLoader, ImagesArePaddedToTheLargestAndLabelsIgnoredThere) {
  const Scenes scenes(4);
  AnnotatedLoader loader(scenes, as_it_is, {.batch_size = 4, .multiple = 32});
  const Batch b = epoch_of(loader, 0)[0];
  EXPECT_EQ(b.images.shape(), (Shape{4, 64, 64, 3}));
  EXPECT_EQ(b.pixel_labels.shape(), (Shape{4, 64, 64}));
  for (int64_t i = 0; i < 4; ++i) {
    const auto [w, h] = scenes.image_size(b.indices[size_t(i)]);
    EXPECT_EQ(b.places[size_t(i)].width, w);
    EXPECT_EQ(b.objects[size_t(i)].boxes[0][3], float(h));
    for (int64_t y : {int64_t(0), h - 1, h, int64_t(63)})
      for (int64_t x : {int64_t(1), w - 1, w, int64_t(63)}) {
        const int64_t pixel = (i * 64 + y) * 64 + x;
        const bool in = y < h && x < w;
        const int colour = int(b.indices[size_t(i)]) + 1;
        EXPECT_EQ(b.inside.data<float>()[pixel], in ? 1 : 0);
        EXPECT_EQ(b.images.data<uint8_t>()[3 * pixel + 1], in ? colour : 0);
        EXPECT_EQ(b.pixel_labels.data<uint8_t>()[pixel], in ? colour : kIgnored);
      }
  }
}

TEST(AnnotatedLoader, EvaluationTakesEachImageOnceInOrder) {
  const Scenes scenes(5);
  std::vector<int64_t> seen;
  for (int64_t rank : {0, 1}) {
    AnnotatedLoader loader(scenes, as_it_is,
                           {.batch_size = 2,
                            .rank = rank,
                            .ranks = 2,
                            .train = false,
                            .group_by_shape = true});  // which is for training alone
    for (const Batch& b : epoch_of(loader, 0)) {
      ASSERT_EQ(b.indices.size(), 1u);
      seen.push_back(b.indices[0]);
    }
  }
  EXPECT_EQ(seen, (std::vector<int64_t>{0, 1, 2, 3, 4}));
}

TEST(AnnotatedLoader, AnUnreadableImageIsReplacedAndNamedOnce) {
  const Scenes scenes(4, 2);
  AnnotatedLoader loader(scenes, as_it_is, {.batch_size = 2, .passes = 2});
  for (const Batch& b : epoch_of(loader, 0))
    for (int64_t i : b.indices) EXPECT_NE(i, 2);
  ASSERT_EQ(loader.bad().size(), 1u);
  EXPECT_EQ(loader.bad()[0].path, "scene 2");
  EXPECT_EQ(loader.bad()[0].reason, "is broken");
  AnnotatedLoader strict(scenes, as_it_is, {.batch_size = 4, .max_bad = 0});
  expect_error([&] { epoch_of(strict, 0); }, {"scene 2", "broken"});
  expect_error([&] { strict.next(); }, {"before start()"});
}

TEST(Ahead, TellsWhenAllHaveBeenHandedOut) {
  for (int threads : {0, 2}) {
    Ahead<int64_t> numbers(3, 6, threads, 2, [](int64_t i) {
      CHECK(i != 4, "not 4");
      return i;
    });
    EXPECT_EQ(numbers.next(), 3);
    if (threads > 0) {
      expect_error([&] { numbers.next(); }, {"not 4"});
      EXPECT_EQ(numbers.next(), 5);
      expect_error([&] { numbers.next(); }, {"handed out"});
    }
  }
}

TEST(AnnotatedLoader, FewerImagesThanABatchAreAnError) {
  const Scenes scenes(3);
  expect_error([&] { AnnotatedLoader(scenes, as_it_is, {.batch_size = 4}); },
               {"scenes", "3 images", "--batch-size"});
  expect_error([&] { AnnotatedLoader(Scenes(0), as_it_is, {.batch_size = 1}); }, {"no image"});
}

}  // namespace
}  // namespace rmt::test
