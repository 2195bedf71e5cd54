#include "train/predictions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace rmt::test {
using namespace train;

TEST(Predictions, MostProbableFirstAndOfEqualsTheFirst) {
  const Tensor logits = Tensor::from<float>({0, std::log(2.f), 0, std::log(4.f)}, {1, 4});
  const std::vector<Guess> all = best_guesses(logits, 9);
  ASSERT_EQ(all.size(), 4u);
  const int64_t order[] = {3, 1, 0, 2};
  const double probability[] = {0.5, 0.25, 0.125, 0.125};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(all[i].index, order[i]);
    EXPECT_NEAR(all[i].probability, probability[i], 1e-6);  // some roundings of f32 below 1
  }
  EXPECT_EQ(best_guesses(logits, 2).size(), 2u);
}

TEST(Predictions, AsJsonTheyHaveTimmsFieldsWhateverTheNames) {
  const ClassNames names{{"a\"b", "\xff"}, {"", ""}}, words{{"n1", "n2"}, {"tench, Tinca", ""}};
  auto j = nlohmann::json::parse(prediction_json("x\n.jpg", {{1, 0.75}, {0, 0.25}}, names));
  EXPECT_EQ(j["filename"], "x\n.jpg");
  EXPECT_EQ(j["index"], (std::vector<int>{1, 0}));
  EXPECT_EQ(j["label"], (std::vector<std::string>{"\xEF\xBF\xBD", "a\"b"}));
  EXPECT_EQ(j["prob"], (std::vector<double>{0.75, 0.25}));
  EXPECT_FALSE(j.contains("words"));
  j = nlohmann::json::parse(prediction_json("x", {{0, 1}}, words));
  EXPECT_EQ(j["words"], std::vector<std::string>{"tench, Tinca"});
  EXPECT_EQ(full_name(words, 0), "tench, Tinca (n1)");
  EXPECT_EQ(full_name(words, 1), "n2");
  j = nlohmann::json::parse(unreadable_json("x", "x: is no image"));
  EXPECT_EQ(j["error"], "x: is no image");
}

TEST(Predictions, AsATableTheyHaveARowForEachGuess) {
  const ClassNames names{{"a,b", "c"}, {"", ""}};
  EXPECT_EQ(prediction_csv_head() + prediction_csv("x \"1\".jpg", {{1, 0.75}, {0, 1e-9}}, names),
            "filename,rank,index,label,prob\n\"x \"\"1\"\".jpg\",1,1,c,0.75\n"
            "\"x \"\"1\"\".jpg\",2,0,\"a,b\",0\n");
  EXPECT_EQ(csv_field("two\nlines"), "\"two\nlines\"");
  EXPECT_EQ(csv_field("plain"), "plain");
}

}  // namespace rmt::test
