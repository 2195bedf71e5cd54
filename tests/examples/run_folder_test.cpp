// The folder of a run as rmt-train treats it: one run at a time, resumed from inside, with its own
// images, and at the end a word on what comes next.
#include <fstream>

#include "core/files/files.h"
#include "tests/check_op.h"
#include "tests/examples/programs.h"
#include "tests/train/small_images.h"
#include "train/run/run_folder.h"

namespace rmt::test {
namespace fs = std::filesystem;

struct RunFolders : Programs {
  const std::string train =
      "rmt-train --data-dir data --model rmt_n --img-size 32 -b 8 --warmup-epochs 0 --lr 1e-3 ";
  void SetUp() override {
    Programs::SetUp();
    if (!IsSkipped()) draw_small_images(data);
  }
};

TEST_F(RunFolders, OneRunAtATimeIsIn) {
  expect(train + "--epochs 1 --experiment run", 0, {});
  train::RunFolder run = train::RunFolder::open(folder / "output/run");
  run.lock();
  const std::string log = read_file(run / "log.jsonl", 1 << 20);
  const std::vector<std::string> refusal = {"output/run: pid ", str(::getpid(), " on "),
                                            "trains in this folder"};
  expect("rmt-train --resume output/run --epochs 2", 1, refusal);
  expect(train + "--epochs 2 --experiment run --resume auto", 1, refusal);
  fs::remove(run / "last.safetensors");
  expect(train + "--epochs 2 --experiment run --resume auto", 1, refusal);
  EXPECT_EQ(read_file(run / "log.jsonl", 1 << 20), log);
}

TEST_F(RunFolders, AreEnteredAndResumedFromInside) {
  expect(train + "--epochs 1 --experiment run", 0,
         {"next: ", "rmt-eval output/run", "rmt-classify output/run photo.jpg"});
  // The data's path is relative to where the run began.
  const Result r = shell(
      "cd output/run && \"$BIN\"/rmt-train --resume last.safetensors --data-dir ../../data "
      "--epochs 2");
  EXPECT_EQ(r.status, 0) << r.text;
  EXPECT_NE(r.text.find("run folder ."), std::string::npos) << r.text;
}

TEST_F(RunFolders, AFolderThatWasThereIsNotTaken) {
  fs::create_directories(folder / "output/run");
  expect(train + "--epochs 1 --experiment run", 1, {"output/run: exists", "--resume auto"});
  expect(train + "--epochs 1 --experiment run --resume auto", 0, {"epoch 1/1"});
}

TEST_F(RunFolders, GoOnWithTheirOwnImagesUnlessForced) {
  expect(train + "--epochs 1 --experiment run", 0, {});
  for (const char* split : {"train", "val"})
    fs::rename(folder / str("data/", split, "/dark"), folder / str("data/", split, "/dim"));
  expect("rmt-train --resume output/run --epochs 2", 1,
         {"class 0 was \"dark\"", "\"dim\"", "--force-resume"});
  expect("rmt-train --resume output/run --epochs 2 --force-resume", 0, {"epoch 2/2"});
}

TEST_F(RunFolders, HoldWhatTheProgramWroteAndNotItsWarnings) {
  // Without descriptors 1 and 2 of their own the folder and its lock would get these numbers.
  ASSERT_EQ(
      shell("\"$BIN\"/" + train + "--epochs 1 --log-interval 1 --experiment run >&- 2>&-").status,
      0);
  const std::string text = read_file(folder / "output/run/run.lock", 4096);
  EXPECT_TRUE(text.starts_with("pid ") && text.find('\n') == text.size() - 1) << text;
}

TEST_F(RunFolders, AnOptimizerThatDividesByZeroIsRefused) {
  expect(train + "--opt-eps 0", 1, {"--opt-eps 0 is not between 1e-16 and 1"});
}

}  // namespace rmt::test
