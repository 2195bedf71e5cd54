// Flags as they are read: numbers in decimal digits and nothing else, timm's spellings, and what is
// told first when something is wrong.
#include <gtest/gtest.h>

#include <sstream>

#include "examples/train_flags.h"
#include "tests/examples/programs.h"
#include "tests/train/small_images.h"

namespace rmt::test {
namespace {

struct Parsed {
  int status;
  std::string error;
  TrainFlags flags;
};

// rmt-train's flags, given as words.
Parsed parse(std::vector<std::string> words) {
  Parsed p;
  CLI::App app("", "rmt-train");
  app.option_defaults()->always_capture_default();
  add_train_flags(app, p.flags);
  words.insert(words.begin(), "rmt-train");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  std::ostringstream error;
  std::streambuf* const before = std::cerr.rdbuf(error.rdbuf());
  p.status = parse_flags(app, int(argv.size()), argv.data());
  std::cerr.rdbuf(before);
  p.error = error.str();
  return p;
}

void expect_refused(const std::vector<std::string>& words, const std::vector<std::string>& parts) {
  const Parsed p = parse(words);
  EXPECT_EQ(p.status, 2) << words[0] << " " << p.error;
  for (const std::string& part : parts)
    EXPECT_NE(p.error.find(part), std::string::npos) << part << " is not in " << p.error;
}

}  // namespace

TEST(Flags, WholeNumbersAreDecimalAndFitTheirType) {
  EXPECT_EQ(parse({"--epochs", "010"}).flags.options.epochs, 10);
  EXPECT_EQ(parse({"--mixup-off-epoch", "-5"}).flags.options.mixup_off_epoch, -5);
  EXPECT_EQ(parse({"--seed", "18446744073709551615"}).flags.options.seed, ~uint64_t(0));
  for (const char* word : {"", " 3", "3 ", "3.5", "1e2", "0x10", "three", "nan", "+-3"})
    for (const char* flag : {"--epochs", "--seed", "--threads"})
      expect_refused({flag, word}, {flag, str('"', word, '"'), "is not a whole number"});
  expect_refused({"--seed", "-1"}, {"--seed", "from 0 to 18446744073709551615"});
  expect_refused({"--seed", "18446744073709551616"}, {"from 0 to 18446744073709551615"});
  expect_refused({"--epochs", "9223372036854775808"}, {"is not a whole number"});
  const Parsed p = parse({"--seed", std::string(300, '9')});
  EXPECT_EQ(p.status, 2);
  EXPECT_LT(p.error.size(), 200u) << "a long word is cut";
}

TEST(Flags, NumbersAreFinite) {
  EXPECT_EQ(parse({"--lr", "010.5"}).flags.options.lr, 10.5);
  EXPECT_EQ(parse({"--lr=5e-4"}).flags.options.lr, 5e-4);
  EXPECT_EQ(parse({"--drop-path", "-1"}).flags.options.drop_path, -1);
  for (const char* word : {"", " 3", "nan", "inf", "-inf", "1e999", "0x1p3", "1,5", "five"}) {
    expect_refused({"--lr", word}, {"--lr", str('"', word, '"'), "is not a number"});
    expect_refused({"--scale", "0.5", word}, {"--scale", "is not a number"});
  }
}

TEST(Flags, OfAFlagThatIsGivenTwiceTheLastCounts) {
  const Parsed p = parse(
      {"--epochs", "2", "-b",           "8",     "--scale",    "0.1",       "1",   "--model-ema",
       "--epochs", "3", "--batch-size", "16",    "--scale",    "0.2",       "0.9", "--no-model-ema",
       "--model",  "a", "--model",      "rmt_t", "--no-decay", "--no-decay"});
  ASSERT_EQ(p.status, -1) << p.error;
  const train::TrainOptions& o = p.flags.options;
  EXPECT_EQ(o.epochs, 3);
  EXPECT_EQ(o.batch_size, 16);
  EXPECT_EQ(o.scale, train::numbers(0.2, 0.9));
  EXPECT_FALSE(o.model_ema);
  EXPECT_FALSE(o.decay);
  EXPECT_EQ(o.model, "rmt_t");
}

TEST(Flags, UnderscoresAreUnderstoodInEveryFlagAndKeptInValues) {
  CLI::App app("", "rmt-train");
  TrainFlags flags;
  add_train_flags(app, flags);
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames())
      EXPECT_EQ(name.find('_'), std::string::npos) << "--" << name << " would never be found";
  const Parsed p = parse({"--batch_size", "4", "--model=rmt_n", "--output_dir", "a_b",
                          "--num_workers", "3", "--no-model_ema", "--data_path=c_d"});
  ASSERT_EQ(p.status, -1) << p.error;
  EXPECT_EQ(p.flags.options.batch_size, 4);
  EXPECT_EQ(p.flags.options.workers, 3);
  EXPECT_EQ(p.flags.options.model, "rmt_n");
  EXPECT_EQ(p.flags.options.data_dir, "c_d");
  EXPECT_EQ(p.flags.output, "a_b");
}

TEST(Flags, AnEmptyFolderOfImagesIsNotTheDrawnOnes) {
  expect_refused({"--data-dir", ""}, {"--data-dir", "is empty", "leave it out"});
  EXPECT_EQ(parse({"--resume", "", "--freeze", ""}).status, -1) << "empty, as timm has it: none";
}

TEST(Flags, AmpMayStandAlone) {
  EXPECT_EQ(parse({"--amp"}).flags.options.amp, "bf16");
  const Parsed p = parse({"--amp", "--epochs", "3"});
  EXPECT_EQ(p.flags.options.amp, "bf16");
  EXPECT_EQ(p.flags.options.epochs, 3);
  EXPECT_EQ(parse({"--amp", "none"}).flags.options.amp, "none");
  EXPECT_EQ(parse({"--amp=fp16"}).flags.options.amp, "fp16") << "refused where it is used";
}

TEST(Flags, WhatTimmHasAndRmtHasNotIsAnswered) {
  EXPECT_EQ(parse({"--opt", "adamw", "--sched", "cosine", "--pin-mem", "--remode=pixel"}).status,
            -1);
  expect_refused({"--sched", "step"}, {"--sched: \"step\"", "cosine"});
  expect_refused({"--pretrained"}, {"--pretrained", "--initial-checkpoint FILE"});
  expect_refused({"--input-size", "3", "224", "224"}, {"--input-size", "--img-size"});
  EXPECT_EQ(parse({"--num-classes", "7"}).flags.num_classes, 7);
}

TEST(Flags, TheOptimizerIsChosenAsInTimm) {
  EXPECT_EQ(parse({}).flags.options.opt, "adamw");
  const Parsed p = parse({"--opt", "sgd", "--momentum", "0.8", "--nesterov"});
  ASSERT_EQ(p.status, -1) << p.error;
  EXPECT_EQ(p.flags.options.opt, "sgd");
  EXPECT_EQ(p.flags.options.momentum, 0.8);
  EXPECT_TRUE(p.flags.options.nesterov);
  expect_refused({"--momentum", "much"}, {"--momentum", "is not a number"});
}

TEST_F(Programs, AFlagOfTheOtherOptimizerIsAnError) {
  expect("rmt-train --opt sgd --opt-eps 1e-6", 1, {"--opt-eps is adamw's", "--opt sgd"});
  expect("rmt-train --momentum 0.5", 1, {"--momentum is sgd's", "--opt adamw"});
  expect("rmt-train --opt adam", 1, {"--opt adam is not known", "did you mean adamw?"});
  expect("rmt-eval x --opt sgd", 2, {"--opt", "rmt-train alone"});
}

TEST(Flags, WhatIsNoFlagIsToldBeforeTheValuesAndInOrder) {
  expect_refused({"--epochs", "three", "--batchsize", "3", "--epoch=3"},
                 {"rmt-train: there is no --batchsize; did you mean --batch-size? there is no "
                  "--epoch; did you mean --epochs? (rmt-train --help lists the flags)"});
  expect_refused({"--opts", "x"}, {"there is no --opts"});
  EXPECT_EQ(parse({"--sche", "x"}).error.find("--sched?"), std::string::npos)
      << "a flag that does nothing is not recommended";
}

TEST_F(Programs, EveryProgramTellsItsVersion) {
  for (const char* name : {"rmt-train", "rmt-eval", "rmt-classify", "rmt-info", "rmt-convert",
                           "rmt-curves", "rmt-bench", "rmt-data", "rmt-look"})
    expect(str(name, " --version"), 0, {"rmt 1.0 (compiler "});
}

TEST_F(Programs, EveryProgramReadsNumbersAlike) {
  for (const char* command :
       {"rmt-eval x -b 0x10", "rmt-classify x --top 1e1", "rmt-bench --iters ''",
        "rmt-info --img-size 32.5", "rmt-data pack --data-dir x --out y --quality ''"})
    expect(command, 2, {"is not a whole number, as 12 is"});
  for (const char* command : {"rmt-eval x --crop-pct ''", "rmt-look x y --at nan 1"})
    expect(command, 2, {"is not a number, as 12, 0.05 and 5e-4 are"});
}

TEST_F(Programs, NumberOfClassesIsCheckedAgainstTheImages) {
  draw_small_images(data);
  const std::string train = "rmt-train --data-dir data --model rmt_n --img-size 32 -b 8 ";
  expect(train + "--num_classes 10 --epochs 1", 1,
         {"--num-classes 10", "data/train has 2", "leave it out"});
  expect(train + "--num-classes 2 --batch-size 70000 --epochs 1", 1,
         {"--batch-size 70000 is not between 1 and 65536 images"});
  expect(train + "--validation-batch-size 1000000", 1, {"--validation-batch-size 1000000 is not"});
  expect(train + "--model-ema --model-ema-decay 1", 1, {"--model-ema-decay 1"});
  EXPECT_EQ(folder.names(), std::vector<std::string>{"data"}) << "something was left behind";
}

}  // namespace rmt::test
