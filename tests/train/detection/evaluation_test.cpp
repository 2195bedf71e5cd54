// Detections of a whole set: each image once, in the order of the images, in every process.
#include "train/detection/evaluation.h"

#include <gtest/gtest.h>

#include "data/annotated_loader.h"
#include "data/detection/pipeline.h"
#include "tests/threads_as_processes.h"
#include "tests/train/dense_scenes.h"
#include "tests/train/folder.h"

namespace rmt::test {
namespace {
using namespace train;

// Finds one box in any image.
struct OneBox : nn::Detector {
  nn::Losses losses(const Tensor&, const std::vector<nn::ImageSize>&,
                    const std::vector<nn::GroundTruth>&) override {
    return {};
  }
  std::vector<std::vector<nn::Detection>> detect(
      const Tensor&, const std::vector<nn::ImageSize>& sizes,
      const std::vector<std::array<double, 2>>&) override {
    return std::vector<std::vector<nn::Detection>>(sizes.size(), {{{1, 2, 3, 4}, .5, 1, {}}});
  }
};

std::vector<int64_t> images_of(const data::CocoSet& set, Processes& processes) {
  data::AnnotatedLoader loader(
      set, data::detection_pipeline(data::detection_evaluation(64, 64)),
      {.rank = processes.rank(), .ranks = processes.size(), .workers = 0, .train = false});
  Compute compute;
  compute.processes = &processes;
  OneBox detector;
  const auto found =
      detect_all(detector, set, loader, compute, {}, [](const auto&, const auto&) { return true; });
  std::vector<int64_t> images;
  for (const CocoDetection& d : *found) images.push_back(d.image);
  return images;
}

// The next image stands in for one that cannot be read, and is not counted twice for that: neither
// by its own process nor by the one before it.
TEST(DetectAll, CountsEachReadableImageOnce) {
  TemporaryFolder folder{memory_folder()};
  write_scenes(folder / "", 2, 5);
  for (int64_t broken : {0, 1, 2, 4}) {
    const std::string path = str(folder / "images/validation/", broken, ".png");
    const std::string whole = read_file(path, 1 << 20);
    write_file(path, "no image");
    const auto set = data::open_coco(folder / "", "val", {});
    std::vector<int64_t> expected;
    for (int64_t i = 0; i < 5; ++i)
      if (i != broken) expected.push_back(i);
    std::vector<int64_t> got = images_of(*set, alone());
    std::sort(got.begin(), got.end());  // behind the last image comes the first one
    EXPECT_EQ(got, expected);
    run_as_processes(2, [&](Processes& processes) {
      std::vector<int64_t> of_two = images_of(*set, processes);
      std::sort(of_two.begin(), of_two.end());
      EXPECT_EQ(of_two, expected) << "image " << broken << " of 5 is broken";
    });
    write_file(path, whole);
  }
}

}  // namespace
}  // namespace rmt::test
