// For tests that run the programs as a user does. BIN, which `make test` sets, is their folder.
#pragma once
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/train/folder.h"

namespace rmt::test {

struct Result {
  int status;
  std::string text;  // stdout and stderr
};

struct Programs : testing::Test {
  TemporaryFolder folder;
  std::string data = folder / "data";
  std::string bin =
      std::getenv("BIN") ? std::filesystem::absolute(std::getenv("BIN")).string() : "";
  void SetUp() override {
    if (bin.empty())
      GTEST_SKIP() << "BIN is not set: 'make test' sets it to the folder of the programs";
  }
  // Runs a line of shell inside the temporary folder; the programs are in "$BIN".
  Result shell(const std::string& script) {
    const std::string line =
        "cd '" + folder.path() + "' && BIN='" + bin + "' && (" + script + ") 2>&1";
    FILE* pipe = popen(line.c_str(), "r");
    Result r{-1, ""};
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) r.text.append(buffer, n);
    const int status = pclose(pipe);
    r.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return r;
  }
  // Runs "rmt-train --help", say, there.
  Result run(const std::string& command) { return shell("\"$BIN\"/" + command); }
  void expect(const std::string& command, int status, const std::vector<std::string>& parts) {
    const Result r = run(command);
    EXPECT_EQ(r.status, status) << command << "\n" << r.text;
    for (const std::string& part : parts)
      EXPECT_NE(r.text.find(part), std::string::npos)
          << command << ": \"" << part << "\" is not in\n"
          << r.text;
  }
};

}  // namespace rmt::test
