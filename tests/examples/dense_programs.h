// For tests that run rmt-seg and rmt-det as a user does, on small scenes.
#pragma once
#include <nlohmann/json.hpp>

#include "tests/examples/programs.h"
#include "tests/train/dense_scenes.h"

namespace rmt::test {

struct DensePrograms : Programs {
  // Without the verb's folder of images, so that a test may name another.
  const std::string sizes =
      " --model rmt_n --fpn-channels 8 --long-side 64 --short-side 64 -b 2 --lr 1e-3"
      " --log-interval 0 -j 1 ";
  const std::string seg = "rmt-seg train" + sizes + "--crop-size 64 ";
  const std::string det =
      "rmt-det train" + sizes + "--fc-channels 16 --anchor-scale 4 --milestones 1 ";
  void SetUp() override {
    Programs::SetUp();
    if (!IsSkipped()) write_scenes(data, 6, 2);
  }
  // What a program prints on stdout, as JSON, a line each.
  std::vector<nlohmann::json> json_of(const std::string& command) {
    const Result r = run(command + " 2>/dev/null");
    EXPECT_EQ(r.status, 0) << command << "\n" << r.text;
    std::vector<nlohmann::json> lines;
    std::istringstream in(r.text);
    for (std::string line; std::getline(in, line);)
      lines.push_back(nlohmann::json::parse(line, nullptr, false));
    return lines;
  }
  // The paths of all that is in the temporary folder.
  std::vector<std::string> files() const {
    std::vector<std::string> all;
    for (const auto& e : std::filesystem::recursive_directory_iterator(folder.path()))
      all.push_back(e.path().string());
    std::sort(all.begin(), all.end());
    return all;
  }
};

}  // namespace rmt::test
