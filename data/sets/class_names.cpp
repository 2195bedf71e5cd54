#include "data/sets/class_names.h"

#include <filesystem>

#include "core/error.h"
#include "core/files/files.h"
#include "data/dataset.h"

namespace rmt::data {

std::map<std::string, std::string> read_class_table(const std::string& path) {
  std::map<std::string, std::string> table;
  for (const std::string& line : read_lines(path, size_t(64) << 20)) {
    const size_t tab = line.find('\t'), cut = tab != std::string::npos ? tab : line.find(' ');
    if (cut == std::string::npos) continue;
    const size_t words = line.find_first_not_of(" \t", cut);
    const std::string name = line.substr(0, cut);
    if (words == std::string::npos || name.empty()) continue;
    CHECK(is_plain_text(name) && is_plain_text(line.substr(words)), path, ": the words of class ",
          is_plain_text(name) ? name : "?",
          " contain control characters; this is no table of classes");
    auto [at, fresh] = table.emplace(name, line.substr(words));
    CHECK(fresh || at->second == line.substr(words), path, ": class ", name,
          " stands there twice, as \"", at->second, "\" and as \"", line.substr(words),
          "\"; remove one");
  }
  return table;
}

std::string find_class_table(const std::string& root) {
  std::error_code ignored;
  for (const char* name :
       {"words.tsv", "words.txt", "LOC_synset_mapping.txt", "synset_words.txt", "classes.txt"})
    if (std::string path = root + "/" + name; std::filesystem::is_regular_file(path, ignored))
      return path;
  return "";
}

std::vector<std::string> class_words(const std::vector<std::string>& classes,
                                     const std::map<std::string, std::string>& table) {
  std::vector<std::string> words;
  for (const std::string& name : classes) {
    auto at = table.find(name);
    words.push_back(at == table.end() ? name : at->second);
  }
  return words;
}

}  // namespace rmt::data
