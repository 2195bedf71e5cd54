// The programs where the system grants less than they ask for: threads.
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "tests/examples/programs.h"
#include "tests/train/small_images.h"

namespace rmt::test {
namespace {

// A thread's stack takes 1 GB of addresses. Of 3 GB two threads get theirs, of 0.9 GB none does.
constexpr const char* kFewThreads = "ulimit -s 1000000 && ulimit -v 3000000 && ";
constexpr const char* kNoThread = "ulimit -s 1000000 && ulimit -v 900000 && ";

// The sanitizers want terabytes of addresses for themselves.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

}  // namespace

TEST_F(Programs, GoOnWithTheThreadsThatTheyGet) {
  if (kSanitized) GTEST_SKIP() << "a sanitized program does not start under ulimit -v";
  const Result r = shell(str(kFewThreads,
                             "\"$BIN\"/rmt-bench --model rmt_n --img-size 32 --batch 2 --iters 1 "
                             "--mode infer --threads 8 --json"));
  ASSERT_EQ(r.status, 0) << r.text;
  const std::string line = r.text.substr(r.text.find('{'));
  const auto result = nlohmann::json::parse(line.substr(0, line.find('}') + 1));
  EXPECT_LT(result.at("threads").get<int>(), 8) << r.text;
}

TEST_F(Programs, ReadImagesWithoutAThreadForIt) {
  if (kSanitized) GTEST_SKIP() << "a sanitized program does not start under ulimit -v";
  draw_small_images(data);
  const Result r = shell(str(kNoThread,
                             "\"$BIN\"/rmt-train --data-dir data --model rmt_n --img-size 32 "
                             "--epochs 1 -b 8 --warmup-epochs 0 -j 8 --threads 2 --experiment x"));
  EXPECT_EQ(r.status, 0) << r.text;
}

}  // namespace rmt::test
