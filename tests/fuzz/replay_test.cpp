// Every fuzz target over its corpus: what was once found stays found, in the ordinary build and
// with SAN=1.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"

using namespace rmt;

TEST(Fuzz, EveryCorpusReplays) {
  namespace fs = std::filesystem;
  for (const auto& [name, target] : fuzz::targets()) {
    size_t files = 0;
    for (const auto& entry : fs::directory_iterator("tests/fuzz/corpus/" + name)) {
      SCOPED_TRACE(entry.path());
      std::ifstream in(entry.path(), std::ios::binary);
      std::stringstream bytes;
      bytes << in.rdbuf();
      const std::string text = bytes.str();
      EXPECT_NO_THROW(target(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
      ++files;
    }
    EXPECT_GT(files, 0u) << name;
    target(nullptr, 0);
  }
  for (const auto& entry : fs::directory_iterator("tests/fuzz/corpus"))
    EXPECT_TRUE(fuzz::targets().count(entry.path().filename())) << entry.path() << " has no target";
}

// Taken apart and put together a file is mended, and no more than once: what comes out falls into
// the same parts. That holds for any bytes.
TEST(Fuzz, AFileThatIsMendedStaysAsItIs) {
  namespace fs = std::filesystem;
  EXPECT_GE(fuzz::formats().size(), 6u);
  for (const auto& [name, format] : fuzz::formats())
    for (const auto& entry : fs::directory_iterator("tests/fuzz/corpus/" + name)) {
      std::ifstream in(entry.path(), std::ios::binary);
      std::stringstream bytes;
      bytes << in.rdbuf();
      const std::string once = format.join(format.split(bytes.str()));
      EXPECT_EQ(format.join(format.split(once)), once) << entry.path();
    }
}
