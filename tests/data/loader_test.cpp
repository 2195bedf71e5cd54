#include "data/loader.h"
#include "data/sets/image_folder.h"

#include <algorithm>
#include <cstring>

#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;

namespace {

constexpr int kImages = 30;

// Three classes of ten images, each different.
struct Fixture {
  TemporaryFolder folder;
  Fixture() {
    for (int i = 0; i < kImages; ++i)
      folder.write(name(i), encode_jpeg(test_image(20 + i % 7, 18 + i % 5, i), 90));
  }
  static std::string name(int i) { return str("train/class", i / 10, "/", i, ".jpg"); }
  ImageFolder open() const { return ImageFolder(folder.path(), "train"); }
};

LoaderOptions options(int workers, bool train = true) {
  LoaderOptions o;
  o.batch_size = 4, o.workers = workers, o.seed = 5, o.train = train;
  o.transform.image_size = 12;
  return o;
}

std::vector<Batch> rest(Loader& loader) {
  std::vector<Batch> batches;
  while (std::optional<Batch> b = loader.next()) batches.push_back(*b);
  return batches;
}
std::vector<Batch> epoch(Loader& loader, int64_t number, int64_t first = 0) {
  loader.start(number, first);
  return rest(loader);
}

bool equal(const Batch& a, const Batch& b) {
  return a.indices == b.indices && a.images.shape() == b.images.shape() &&
         a.labels.to_vector<int64_t>() == b.labels.to_vector<int64_t>() &&
         a.mirror.to_vector<uint8_t>() == b.mirror.to_vector<uint8_t>() &&
         std::memcmp(a.images.raw(), b.images.raw(), a.images.nbytes()) == 0;
}
bool equal(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(),
                    [](const Batch& x, const Batch& y) { return equal(x, y); });
}

// The bytes of an image, and whether they are to be mirrored.
struct Sample {
  std::vector<uint8_t> bytes;
  bool mirror = false;
  friend bool operator==(const Sample&, const Sample&) = default;
};
Sample sample(const Batch& b, size_t i) {
  const auto bytes = b.images.slice(int64_t(i), int64_t(i) + 1).to_vector<uint8_t>();
  return {bytes, b.mirror.data<uint8_t>()[i] == 1};
}
// What the transform makes of image `index`.
Sample made(const Dataset& data, int64_t index, const LoaderOptions& o, const Random& random) {
  Sample s{std::vector<uint8_t>(size_t(o.transform.image_size * o.transform.image_size * 3))};
  const Image image = read_image(data.name(index));
  if (o.train)
    s.mirror = train_pixels(image, o.transform, random, s.bytes.data());
  else
    eval_pixels(image, o.transform, s.bytes.data());
  return s;
}

std::vector<int64_t> all_indices(const std::vector<Batch>& batches) {
  std::vector<int64_t> all;
  for (const Batch& b : batches) all.insert(all.end(), b.indices.begin(), b.indices.end());
  return all;
}

}  // namespace

TEST(Loader, BytesDoNotDependOnTheWorkers) {
  Fixture f;
  ImageFolder data = f.open();
  for (bool train : {true, false}) {
    Loader alone(data, options(0, train));
    std::vector<Batch> first = epoch(alone, 0), second = epoch(alone, 1);
    EXPECT_EQ(first.size(), size_t(train ? 7 : 8));
    EXPECT_EQ(equal(first, second), !train);  // a new epoch is a new order with new crops
    for (int workers : {1, 2, 4}) {
      Loader loader(data, options(workers, train));
      for (int repeat = 0; repeat < 5; ++repeat) {
        EXPECT_TRUE(equal(epoch(loader, 0), first)) << workers << " workers";
        EXPECT_TRUE(equal(epoch(loader, 1), second)) << workers << " workers";
      }
    }
  }
}

// The promise in one line: image i of epoch e is the transform of file i with the random numbers of
// (seed, e, i), wherever it stands.
TEST(Loader, ASampleIsAFunctionOfSeedEpochAndIndex) {
  Fixture f;
  ImageFolder data = f.open();
  LoaderOptions o = options(2);
  Loader loader(data, o);
  for (uint64_t e : {0, 3})
    for (const Batch& b : epoch(loader, int64_t(e)))
      for (size_t i = 0; i < b.indices.size(); ++i)
        ASSERT_EQ(sample(b, i), made(data, b.indices[i], o,
                                     Random(o.seed, Purpose::augment, e, uint64_t(b.indices[i]))));
}

// With RandAugment too; its pictures have been mirrored already.
TEST(Loader, AugmentedBytesDoNotDependOnTheWorkers) {
  Fixture f;
  ImageFolder data = f.open();
  LoaderOptions o = options(0);
  Loader plain(data, o);
  o.transform.augment = parse_augment("rand-m9-mstd0.5-inc1");
  Loader alone(data, o);
  const std::vector<Batch> first = epoch(alone, 0), second = epoch(alone, 1);
  EXPECT_FALSE(equal(first, epoch(plain, 0)));
  for (int workers : {1, 3}) {
    o.workers = workers;
    Loader loader(data, o);
    EXPECT_TRUE(equal(epoch(loader, 0), first)) << workers << " workers";
    EXPECT_TRUE(equal(epoch(loader, 1), second)) << workers << " workers";
  }
  for (const Batch& b : first)
    for (uint8_t m : b.mirror.to_vector<uint8_t>()) EXPECT_EQ(m, 0);
}

TEST(Loader, EvaluationHandsOutTheCentreInOrder) {
  Fixture f;
  ImageFolder data = f.open();
  const LoaderOptions o = options(2, false);
  Loader loader(data, o);
  int64_t index = 0, mirrored = 0;
  for (const Batch& b : epoch(loader, 1)) {
    EXPECT_EQ(b.images.dtype(), DType::u8);
    EXPECT_FALSE(b.erase.defined() || b.mix.defined());
    for (size_t i = 0; i < b.indices.size(); ++i, ++index) {
      ASSERT_EQ(b.indices[i], index);
      ASSERT_EQ(sample(b, i), made(data, index, o, Random(0, Purpose::test)));
    }
  }
  EXPECT_EQ(index, kImages);
  Loader training(data, options(2));
  for (const Batch& b : epoch(training, 1))
    for (uint8_t m : b.mirror.to_vector<uint8_t>()) mirrored += m;
  EXPECT_TRUE(0 < mirrored && mirrored < 28) << mirrored;
}

TEST(Loader, BytesDoNotDependOnTheCache) {
  Fixture f;
  ImageFolder data = f.open();
  std::vector<std::vector<Batch>> seen;
  for (int64_t bytes : {int64_t(0), int64_t(5000), int64_t(1) << 30}) {
    LoaderOptions o = options(2);
    o.cache_bytes = bytes;
    Loader loader(data, o);
    epoch(loader, 0);
    seen.push_back(epoch(loader, 1));
  }
  EXPECT_TRUE(equal(seen[0], seen[1]));
  EXPECT_TRUE(equal(seen[0], seen[2]));
}

TEST(Loader, TheCacheSavesReading) {
  Fixture f;
  ImageFolder data = f.open();
  LoaderOptions o = options(1, false);
  Loader loader(data, o);
  std::vector<Batch> before = epoch(loader, 0);
  std::filesystem::remove_all(f.folder / "train");
  EXPECT_TRUE(equal(epoch(loader, 1), before));
  EXPECT_TRUE(loader.bad().empty());
}

TEST(Loader, ASeedIsAnOrderAndItsCrops) {
  Fixture f;
  ImageFolder data = f.open();
  LoaderOptions o = options(0);
  Loader a(data, o);
  o.seed = 6;
  Loader b(data, o);
  EXPECT_NE(all_indices(epoch(a, 0)), all_indices(epoch(b, 0)));
  EXPECT_NE(all_indices(epoch(a, 0)), all_indices(epoch(a, 1)));
}

TEST(Loader, StartsInMidEpoch) {
  Fixture f;
  ImageFolder data = f.open();
  for (int workers : {0, 2}) {
    Loader loader(data, options(workers));
    std::vector<Batch> whole = epoch(loader, 3);
    for (int64_t first = 0; first <= loader.batches(); ++first)
      EXPECT_TRUE(
          equal(epoch(loader, 3, first), std::vector<Batch>(whole.begin() + first, whole.end())))
          << "from batch " << first;
  }
}

TEST(Loader, SeesEveryImageOnce) {
  Fixture f;
  ImageFolder data = f.open();
  LoaderOptions o = options(2);
  o.drop_last = false;
  Loader train(data, o), eval(data, options(2, false));
  std::vector<int64_t> shuffled = all_indices(epoch(train, 0)),
                       ordered = all_indices(epoch(eval, 0));
  EXPECT_FALSE(std::is_sorted(shuffled.begin(), shuffled.end()));
  EXPECT_TRUE(std::is_sorted(ordered.begin(), ordered.end()));
  std::sort(shuffled.begin(), shuffled.end());
  EXPECT_EQ(shuffled, ordered);
  EXPECT_EQ(ordered.size(), size_t(kImages));
  for (const Batch& b : epoch(eval, 0))
    for (size_t i = 0; i < b.indices.size(); ++i)
      EXPECT_EQ(b.labels.to_vector<int64_t>()[i], b.indices[i] / 10);
}

// ImageNet's epoch, and those of fewer images than the 256 that samplers round to.
TEST(Loader, RepeatsMakeAnEpochOfWholeMultiplesOf256) {
  EXPECT_EQ(samples_an_epoch(1281167, 3), 1281024);
  EXPECT_EQ(samples_an_epoch(1281167, 1), 1281167);
  EXPECT_EQ(samples_an_epoch(256, 2), 256);
  EXPECT_EQ(samples_an_epoch(511, 3), 256);
  EXPECT_EQ(samples_an_epoch(255, 3), 255);
}

// The order of the epoch, each image three times with chances of its own, the first copy's those of
// a run without repeats; however the batches cut it, and whoever made them.
TEST(Loader, RepeatsAreTheEpochsOrderThreefold) {
  Fixture f;
  ImageFolder data = f.open();
  LoaderOptions o = options(0);
  o.transform.augment = parse_augment("rand-m9-mstd0.5-inc1");
  o.repeats = 3;
  const Permutation order(kImages, o.seed, 2);
  for (int64_t size : {1, 4, 6, 7}) {
    o.batch_size = size, o.workers = 0;
    Loader alone(data, o);
    const std::vector<Batch> batches = epoch(alone, 2);
    ASSERT_EQ(int64_t(batches.size()), kImages / size);
    int64_t place = 0, distinct = 0;
    for (const Batch& b : batches)
      for (int64_t i = 0; i < size; ++i, ++place) {
        const int64_t index = order(place / 3), copy = place % 3;
        ASSERT_EQ(b.indices[size_t(i)], index);
        ASSERT_EQ(b.labels.data<int64_t>()[i], data.label(index));
        const Random random(o.seed, Purpose::augment, 2 | uint64_t(copy) << 32, uint64_t(index));
        const Sample first =
            made(data, index, o, Random(o.seed, Purpose::augment, 2, uint64_t(index)));
        const Sample want = made(data, index, o, random);
        ASSERT_EQ(sample(b, size_t(i)), want) << place;
        distinct += !(first == want);
      }
    EXPECT_GE(distinct, kImages / 3) << "of 20 second and third copies";
    for (int workers : {1, 3}) {
      o.workers = workers;
      Loader loader(data, o);
      EXPECT_TRUE(equal(epoch(loader, 2), batches)) << workers << " workers, batches of " << size;
      EXPECT_TRUE(
          equal(epoch(loader, 2, 1), std::vector<Batch>(batches.begin() + 1, batches.end())))
          << "from the middle of an image's copies";
    }
  }
}

TEST(Loader, CopiesOfABadImageAreReplacedAllAlike) {
  Fixture f;
  ImageFolder data = f.open();
  LoaderOptions o = options(2);
  o.repeats = 3, o.batch_size = 6;
  const Permutation order(kImages, o.seed, 0);
  const int64_t bad = order(1);
  f.folder.write(Fixture::name(int(bad)), "text");
  ImageFolder damaged = f.open();
  Loader loader(damaged, o);
  const std::vector<Batch> batches = epoch(loader, 0);
  for (size_t i : {3, 4, 5}) EXPECT_EQ(batches[0].indices[i], (bad + 1) % kImages);
  EXPECT_EQ(loader.bad().size(), 1u);
}

TEST(Loader, ShapesAndTheLastBatch) {
  Fixture f;
  ImageFolder data = f.open();
  Loader loader(data, options(2, false));
  std::vector<Batch> batches = epoch(loader, 0);
  EXPECT_EQ(batches[0].images.shape(), Shape({4, 12, 12, 3}));
  EXPECT_EQ(batches[0].labels.shape(), Shape({4}));
  EXPECT_EQ(batches[0].labels.dtype(), DType::i64);
  EXPECT_EQ(batches.back().images.shape(), Shape({2, 12, 12, 3}));
  EXPECT_FALSE(loader.next().has_value());
  EXPECT_GE(loader.wait_seconds(), 0);
}

// Damaged: 4 (alone), 8 and 9 (in a row: 10 stands for both), 29 (the last: 0 stands for it).
TEST(Loader, ReplacesBadImagesByTheNextGoodOne) {
  Fixture f;
  f.folder.write(Fixture::name(4), "");
  f.folder.write(Fixture::name(8), "text");
  std::vector<uint8_t> jpeg = encode_jpeg(test_image(20, 20), 90);
  f.folder.write(Fixture::name(9), std::vector<uint8_t>(jpeg.begin(), jpeg.begin() + 300));
  f.folder.write(Fixture::name(29), "\x89PNG\r\n");
  ImageFolder data = f.open();
  std::vector<int64_t> want(kImages);
  for (size_t i = 0; i < want.size(); ++i)
    want[i] = i == 4 ? 5 : i == 8 || i == 9 ? 10 : i == 29 ? 0 : int64_t(i);
  std::vector<Batch> first;
  for (int workers : {0, 1, 2, 4}) {
    Loader loader(data, options(workers, false));
    std::vector<Batch> batches = epoch(loader, 0);
    EXPECT_EQ(all_indices(batches), want);
    EXPECT_EQ(batches[2].labels.to_vector<int64_t>(), (std::vector<int64_t>{1, 1, 1, 1}))
        << "a replacement brings its own label";
    if (workers == 0) first = batches;
    EXPECT_TRUE(equal(batches, first)) << workers << " workers";
    epoch(loader, 1);
    ASSERT_EQ(loader.bad().size(), 4u) << "each is counted once";
    EXPECT_EQ(loader.bad()[0].path, f.folder / Fixture::name(4));
    EXPECT_TRUE(loader.bad()[0].reason.starts_with("the file is empty"))
        << "its path stands before";
    EXPECT_TRUE(contains(loader.bad()[1].reason, "no image"));
    EXPECT_TRUE(contains(loader.bad()[2].reason, "cut short"));
    EXPECT_EQ(loader.bad()[3].path, f.folder / Fixture::name(29));
  }
}

TEST(Loader, TooManyBadImagesAreAnError) {
  Fixture f;
  for (int i : {3, 11, 22}) f.folder.write(Fixture::name(i), "text");
  ImageFolder data = f.open();
  for (int workers : {0, 2}) {
    LoaderOptions o = options(workers, false);
    o.max_bad = 3;
    Loader patient(data, o);
    EXPECT_EQ(epoch(patient, 0).size(), 8u);
    o.max_bad = 2;
    Loader strict(data, o);
    strict.start(0);
    for (int i = 0; i < 5; ++i)
      EXPECT_TRUE(strict.next().has_value());  // the third bad image is in the sixth batch
    EXPECT_TRUE(contains(error_of([&] { strict.next(); }), "more than 2 images could not be read"));
  }
}

TEST(Loader, AFolderOfNothingButBadImagesIsAnError) {
  TemporaryFolder folder;
  for (int i = 0; i < 20; ++i) folder.write(str("train/a/", i, ".jpg"), "text");
  ImageFolder data(folder.path(), "train");
  for (int workers : {0, 3}) {
    Loader loader(data, options(workers));
    loader.start(0);
    EXPECT_TRUE(contains(error_of([&] { loader.next(); }), "20 images in a row could not be read"));
  }
}

TEST(Loader, StopsAtAnyTime) {
  Fixture f;
  ImageFolder data = f.open();
  for (int used = 0; used < 6; ++used) {
    Loader loader(data, options(3));
    if (used > 0) loader.start(0);
    for (int i = 1; i < used; ++i) loader.next();
  }
  Loader loader(data, options(3));
  for (int64_t i = 0; i < 20; ++i) loader.start(i);
  EXPECT_EQ(rest(loader).size(), 7u);
}

TEST(Loader, RefusesWhatMakesNoSense) {
  Fixture f;
  ImageFolder data = f.open();
  auto message = [&](auto change) {
    LoaderOptions o = options(0);
    change(o);
    return error_of([&] { Loader(data, o); });
  };
  EXPECT_TRUE(contains(message([](auto& o) { o.batch_size = 0; }), "batch size 0"));
  EXPECT_TRUE(contains(message([](auto& o) { o.batch_size = 31; }),
                       "has 30 images, fewer than one batch of 31"));
  EXPECT_TRUE(contains(message([](auto& o) { o.workers = -1; }), "-1 workers"));
  EXPECT_TRUE(contains(message([](auto& o) { o.repeats = 0; }), "0 repeats"));
  EXPECT_TRUE(
      contains(message([](auto& o) { o.repeats = 3, o.train = false; }), "in training alone"));
  EXPECT_TRUE(contains(message([](auto& o) { o.transform.image_size = 0; }), "image size 0"));
  Loader loader(data, options(1));
  EXPECT_TRUE(contains(error_of([&] { loader.next(); }), "before start()"));
  EXPECT_TRUE(contains(error_of([&] { loader.start(0, 8); }), "cannot start at 8"));
}
