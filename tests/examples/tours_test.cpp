// The tours do what they say: each ends with status 0, which it gives only when its own claims
// held. BIN is the folder of the programs (tests/run.sh is given it by the Makefile).
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace rmt::test {
namespace {

struct Tours : testing::TestWithParam<const char*> {};

// What the program prints, and its exit status.
std::string run(const std::string& program, int& status) {
  FILE* pipe = popen((program + " 2>&1").c_str(), "r");
  std::string text;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  status = pclose(pipe);
  return text;
}

}  // namespace

TEST_P(Tours, DoWhatTheySay) {
  const char* bin = std::getenv("BIN");
  if (!bin) GTEST_SKIP() << "BIN is not set: 'make test' sets it to the folder of the programs";
  int status = -1;
  const std::string text = run(std::string(bin) + "/" + GetParam(), status);
  EXPECT_EQ(status, 0) << text;
  EXPECT_FALSE(text.empty());
}

INSTANTIATE_TEST_SUITE_P(All, Tours,
                         testing::Values("tour_tensor", "tour_autograd", "tour_write_an_op",
                                         "tour_cuda_kernel", "tour_module", "tour_loader",
                                         "tour_train", "tour_resnet", "tour_vit"),
                         [](const auto& tour) { return std::string(tour.param); });

}  // namespace rmt::test
