#include "data/segmentation/class_list.h"

#include <filesystem>

#include "core/error.h"
#include "core/files/files.h"
#include "data/dataset.h"

namespace rmt::data {
namespace {

constexpr size_t kMostBytes = size_t(1) << 20;

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  return begin == std::string::npos ? "" : text.substr(begin, end + 1 - begin);
}

// The lines without blanks at their ends, and without empty ones at the end.
std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  for (const std::string& line : read_lines(path, kMostBytes)) lines.push_back(trimmed(line));
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

void check_names(const std::vector<std::string>& names, const std::string& path) {
  const std::string file = printable(path);
  CHECK(!names.empty() && names.size() <= 255, file, ": ", names.size(),
        " names of classes; there must be 1 to 255, one in each line");
  for (size_t i = 0; i < names.size(); ++i)
    CHECK(is_plain_text(names[i]), file, ": the name of class ", i + 1, " of ", names.size(),
          names[i].empty() ? " is empty" : " contains control characters",
          "; write one name in each line");
}

}  // namespace

std::vector<std::string> read_class_names(const std::string& path) {
  std::vector<std::string> names = lines_of(path);
  check_names(names, path);
  return names;
}

std::vector<std::string> read_class_info(const std::string& path) {
  std::vector<std::string> names;
  for (const std::string& line : lines_of(path)) {
    const std::string number = trimmed(line.substr(0, line.find('\t')));
    if (names.empty() && number == "Idx") continue;  // the headings
    const size_t tab = line.rfind('\t');
    CHECK(number == std::to_string(names.size() + 1) && tab != std::string::npos, printable(path),
          ": the line of class ", names.size() + 1, " is \"", line,
          "\"; it must begin with that number and end with a tab and the class's name");
    const std::string synonyms = line.substr(tab + 1);
    names.push_back(trimmed(synonyms.substr(0, synonyms.find(','))));
  }
  check_names(names, path);
  return names;
}

std::vector<std::string> read_class_list(const std::string& root) {
  std::error_code ignored;
  const std::string names = root + "/classes.txt", info = root + "/objectInfo150.txt";
  if (std::filesystem::exists(names, ignored)) return read_class_names(names);
  if (std::filesystem::exists(info, ignored)) return read_class_info(info);
  return {};
}

}  // namespace rmt::data
