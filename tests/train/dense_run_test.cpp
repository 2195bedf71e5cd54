// Runs of segmentation and detection: one that is stopped and goes on has the bits of one that was
// not, threads and workers change nothing, and the folder holds what a classifier's does.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/parallel.h"
#include "data/segmentation/labelled_folder.h"
#include "tests/train/dense_scenes.h"
#include "tests/train/folder.h"
#include "tests/train/tiny_model.h"
#include "train/dense_defaults.h"
#include "train/detection/task.h"
#include "train/segmentation/task.h"
#include "train/stop.h"
#include "train/trainer.h"

namespace rmt::test {
namespace {
using namespace train;

// Another task, and a signal in its n-th loss.
struct Stopping : Task {
  std::unique_ptr<Task> task;
  int64_t left;
  Stopping(std::unique_ptr<Task> t, int64_t n) : task(std::move(t)), left(n) {}
  const std::vector<std::string>& classes() const override { return task->classes(); }
  DataCounts counts() const override { return task->counts(); }
  std::string place() const override { return task->place(); }
  data::Batches& training() override { return task->training(); }
  data::Batches& validation() override { return task->validation(); }
  const data::TransformOptions& transform() const override { return task->transform(); }
  Losses losses(const Tensor& images, const data::Batch& batch) override {
    if (--left == 0) std::raise(SIGTERM);
    return task->losses(images, batch);
  }
  std::optional<std::vector<TestResult>> test(TestedWeights& weights, const GoOn& go_on) override {
    return task->test(weights, go_on);
  }
  std::vector<data::Tile> pictures(const data::Batch& b, int64_t most) const override {
    return task->pictures(b, most);
  }
};

struct DenseRun : testing::TestWithParam<const char*> {
  TemporaryFolder folder{memory_folder()};
  std::string data = folder / "data", head = GetParam();
  std::ostringstream out;
  DenseRun() { write_scenes(data, 6, 2); }

  TrainOptions options() const {
    TrainOptions o = dense_defaults(head, "rmt_n");
    o.data_dir = data;
    o.epochs = 2;
    o.batch_size = 2;
    o.long_side = o.short_side = o.crop_size = 64;
    o.fpn_channels = 8;
    o.fc_channels = 16;
    o.anchor_scale = 4;
    o.warmup_steps = 2;
    o.lr = 1e-3;
    o.log_interval = 0;
    return o;
  }

  // Trains in `run`, from its last checkpoint if there is one; `stop_at`: a signal comes in that
  // step. Returns what was saved.
  Archive train(const std::string& run, const TrainOptions& o, int64_t stop_at = 0) {
    const bool pixels = head == "semantic_fpn" || head == "upernet";
    std::unique_ptr<nn::Module> model;
    std::unique_ptr<Task> task;
    std::unique_ptr<data::AnnotatedSet> train_set, test_set;
    if (pixels) {
      auto segmenter = nn::make_segmenter(head, tiny(), 3, {.channels = 8});
      train_set = std::make_unique<data::LabelledFolder>(data, "train");
      test_set = std::make_unique<data::LabelledFolder>(data, "val");
      segmenter->init(o.seed);
      task = std::make_unique<Segmentation>(*segmenter, *train_set, *test_set, o, Compute());
      model = std::move(segmenter);
    } else {
      auto detector = nn::make_detector(head, tiny(), 2, detector_options(o));
      const bool masks = detector->has_masks();
      auto a = data::open_coco(data, "train", {.masks = masks, .training = true});
      auto b = data::open_coco(data, "val", {.masks = masks});
      detector->init(o.seed);
      task = std::make_unique<Detection>(*detector, *a, *b, o, Compute());
      model = std::move(detector), train_set = std::move(a), test_set = std::move(b);
    }
    if (stop_at > 0) task = std::make_unique<Stopping>(std::move(task), stop_at);
    Trainer trainer(*model, std::move(task), o, out);
    const std::string path = folder / run;
    RunFolder to = std::filesystem::exists(path) ? RunFolder::open(path)
                                                 : RunFolder::create(folder / "", run, "tiny", 64);
    if (std::filesystem::exists(path + "/last.safetensors"))
      trainer.resume(read_safetensors(path + "/last.safetensors"));
    EXPECT_TRUE(trainer.run(to));
    EXPECT_EQ(trainer.stopped(), stop_at > 0);
    StopSignals::forget();
    return read_safetensors(path + "/last.safetensors");
  }
};

void expect_same(const Archive& a, const Archive& b) {
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [name, x] : a.tensors)
    ASSERT_EQ(std::memcmp(x.raw(), b.at(name).raw(), x.nbytes()), 0) << name;
}

// RMT_SCENES is a folder where tests/processes.sh wants them.
TEST(DenseScenes, AreReadAsBothSets) {
  TemporaryFolder folder{memory_folder()};
  const char* asked = std::getenv("RMT_SCENES");
  const std::string root = asked ? asked : folder / "data";
  write_scenes(root, 8, 3);
  for (const auto& [part, size] : {std::pair{"train", 8}, std::pair{"val", 3}}) {
    EXPECT_EQ(data::LabelledFolder(root, part).size(), size);
    const auto objects = data::open_coco(root, part, {.masks = true});
    EXPECT_EQ(objects->size(), size);
    EXPECT_EQ(objects->remarks().size(), 0u);
    EXPECT_EQ(objects->example(0).objects.masks.size(), 2u);
  }
}

TEST_P(DenseRun, AStoppedRunGoesOnToTheSameBits) {
  const Archive straight = train("straight", options());
  train("broken", options(), 2);  // in the first epoch, which has three steps
  TrainOptions o = options();
  o.workers = 1;
  const int before = threads();
  set_threads(before == 1 ? 2 : 1);
  const Archive broken = train("broken", o);
  set_threads(before);
  expect_same(straight, broken);
  // The parts of the loss that the log has are the epoch's, although two processes counted them.
  auto log = [&](const char* run) { return read_file(folder / run + "/log.jsonl", 1 << 20); };
  std::istringstream a(log("straight")), b(log("broken"));
  for (std::string x, y; std::getline(a, x) && std::getline(b, y);) {
    const auto j = nlohmann::json::parse(x), k = nlohmann::json::parse(y);
    int parts = 0;
    for (const auto& [key, value] : j.items())
      if (key.starts_with("test_") || (key.starts_with("train_") && ++parts)) {
        EXPECT_EQ(value, k[key]) << key;
      }
    EXPECT_GE(parts, 3) << x;
  }
}

TEST_P(DenseRun, TheFolderIsReadAgain) {
  train("run", options());
  const std::vector<EpochLog> log = read_log(folder / "run/log.jsonl");
  ASSERT_EQ(log.size(), 2u);
  const bool pixels = head == "semantic_fpn" || head == "upernet";
  ASSERT_FALSE(log[0].test.scores.empty());
  EXPECT_EQ(log[0].test.scores[0].name, pixels ? "mIoU" : "box_AP");
  EXPECT_GE(log[0].test.score(), 0);
  EXPECT_LE(log[0].test.score(), 100);
  for (const char* file : {"best.safetensors", "curves.svg", "summary.csv", "augmented.png"})
    EXPECT_TRUE(std::filesystem::exists(folder / "run/" + file)) << file;
  EXPECT_NE(out.str().find(pixels ? "mIoU" : "box_AP50"), std::string::npos) << out.str();
}

INSTANTIATE_TEST_SUITE_P(Heads, DenseRun,
                         testing::Values("semantic_fpn", "upernet", "retinanet", "mask_rcnn",
                                         "cascade_mask_rcnn"),
                         [](const auto& p) { return std::string(p.param); });

}  // namespace
}  // namespace rmt::test
