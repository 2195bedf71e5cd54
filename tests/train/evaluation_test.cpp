#include "train/evaluation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/check_op.h"
#include "tests/threads_as_processes.h"
#include "tests/train/own_model.h"
#include "train/mistakes.h"

namespace rmt::test {
using namespace data;
using namespace train;
namespace {

Batch batch_of(const std::vector<int64_t>& indices, const std::vector<int64_t>& labels) {
  return {.labels = Tensor::from<int64_t>(labels, {int64_t(labels.size())}), .indices = indices};
}

// What a process finds in its part of 70 images, in batches of 4. It stops after `most` batches.
Metrics found(Processes& p, int64_t most = 100) {
  const Noise images(70, 3, {"a", "b", "c", "d", "e", "f", "g"});
  OwnNet model(7);
  model.init(2);
  LoaderOptions o;
  o.batch_size = 4, o.train = false, o.rank = p.rank(), o.ranks = p.size();
  o.transform.image_size = 32, o.transform.crop_pct = 1;
  Loader loader(images, o);
  return evaluate(
      model, [&](const Tensor& x) { return model.forward(x); }, loader, {}, o.transform, "",
      [&](const Batch&, const Tensor&) { return --most > 0; }, p);
}

}  // namespace

// In every process, more of them than batches too.
TEST(Evaluation, HasTheSameBitsForAnyNumberOfProcesses) {
  const Metrics want = found(alone());
  EXPECT_EQ(want.samples, 70);
  EXPECT_TRUE(0 < want.top1 && want.top1 < want.top5 && want.top5 < 70);
  for (int64_t R : {1, 2, 3, 8, 20})
    run_as_processes(R, [&](Processes& p) {
      const Metrics m = found(p);
      EXPECT_EQ(m.samples, want.samples) << R << " processes";
      EXPECT_EQ(m.top1, want.top1);
      EXPECT_EQ(m.top5, want.top5);
      EXPECT_EQ(m.loss_sum, want.loss_sum);
      EXPECT_TRUE(m.complete);
    });
}

// Process 1 of 3 stops after one of its 6 batches.
TEST(Evaluation, EndedInOneProcessIsCompleteInNone) {
  run_as_processes(3, [&](Processes& p) {
    const Metrics m = found(p, p.rank() == 1 ? 1 : 100);
    EXPECT_EQ(m.samples, 70 - 5 * 4);
    EXPECT_FALSE(m.complete);
  });
  EXPECT_FALSE(found(alone(), 1).complete);
}

TEST(WorstMistakes, AreTheSurestWrongAnswersInOrder) {
  const float ln3 = std::log(3.f);
  WorstMistakes worst(3);
  //                                                    right    2 at 1/2      1 at 3/5
  worst.add(batch_of({4, 5, 6}, {0, 1, 2}),
            Tensor::from<float>({9, 0, 0, 0, 0, std::log(2.f), 0, ln3, 0}, {3, 3}));
  ASSERT_EQ(worst.sorted().size(), 2u);
  //                                                    0 at 3/5 as image 6    an answer that is
  //                                                    none
  worst.add(batch_of({2, 7}, {1, 1}),
            Tensor::from<float>({ln3, 0, 0, std::nanf(""), 0, 0}, {2, 3}));
  //                                                    image 5 again, surer than before; 0 at
  //                                                    nearly 1
  worst.add(batch_of({5, 1}, {0, 1}), Tensor::from<float>({0, 50, 0, 1000, 0, -1000}, {2, 3}));
  ASSERT_EQ(worst.sorted().size(), 3u);
  const std::vector<int64_t> order = {1, 2, 6}, predicted = {0, 0, 1}, labels = {1, 1, 2};
  for (size_t i = 0; i < 3; ++i) {
    const Mistake& m = worst.sorted()[i];
    EXPECT_EQ(m.index, order[i]);
    EXPECT_EQ(m.predicted, predicted[i]);
    EXPECT_EQ(m.label, labels[i]);
    EXPECT_NEAR(m.confidence, i == 0 ? 1 : 0.6, 1e-6);
  }
  WorstMistakes none(0);
  none.add(batch_of({0}, {1}), Tensor::from<float>({1, 0}, {1, 2}));
  EXPECT_TRUE(none.sorted().empty());
}

TEST(WorstMistakes, CaptionSaysPredictedTrueAndHowSure) {
  ModelFile file;
  file.classes = {"cat", "dog"};
  EXPECT_EQ(caption({.label = 1, .predicted = 0, .confidence = 0.978}, file), "cat not dog 98 %");
  EXPECT_EQ(caption({.label = 1, .predicted = 7, .confidence = 1}, file), "class 7 not dog 100 %");
}

TEST(EvaluationJson, HasTheFieldsOfTimm) {
  ModelFile file;
  file.options.model = "rmt_n", file.options.data_dir = "a \"b\"\n", file.options.img_size = 64;
  file.model = std::make_unique<nn::Rmt>(model_config(file.options, 10));
  const auto j = nlohmann::json::parse(
      evaluation_json({.samples = 3, .top1 = 1, .top5 = 2, .loss_sum = 6}, file, 4, 1.234));
  EXPECT_EQ(j["model"], "rmt_n");
  EXPECT_EQ(j["top1"], 33.3333);
  EXPECT_EQ(j["top1_err"], 66.6667);
  EXPECT_EQ(j["top5"], 66.6667);
  EXPECT_EQ(j["param_count"], 2.11);
  EXPECT_EQ(j["loss"], 2);
  EXPECT_EQ(j["images"], 3);
  EXPECT_EQ(j["bad_images"], 4);
  EXPECT_EQ(j["data_dir"], "a \"b\"\n");
}

}  // namespace rmt::test
