#include "core/processes/bytes.h"

#include <gtest/gtest.h>

#include "tests/threads_as_processes.h"

namespace rmt::test {

TEST(ProcessBytes, TextsOfEveryLengthArriveAsTheyAre) {
  const std::vector<std::string> texts{std::string("a\0\xff", 3), "", std::string(10'000, 'x')};
  run_as_processes(3, [&](Processes& p) {
    EXPECT_EQ(all_gather(texts[size_t(p.rank())], p), texts);
    for (int64_t root : {0, 1, 2})
      EXPECT_EQ(broadcast(texts[size_t(p.rank())], p, root), texts[size_t(root)]);
    EXPECT_EQ(all_gather("", p), std::vector<std::string>(3));
  });
  EXPECT_EQ(all_gather("one", alone()), std::vector<std::string>{"one"});
  EXPECT_EQ(broadcast("one", alone()), "one");
}

}  // namespace rmt::test
