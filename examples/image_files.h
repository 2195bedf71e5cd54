// The image files that the words of a command line name: files, and folders of them.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/dataset.h"

namespace rmt {

// The image files in a folder, then those in the folders in it, each in natural order.
inline void add_images_in(const std::string& folder, int depth, std::vector<std::string>& files) {
  CHECK(depth < 16, folder, " is 16 folders deep; does a link lead back to its own folder?");
  for (const std::string& name : data::names_in(folder, false))
    if (data::is_image_name(name)) files.push_back(folder + "/" + name);
  for (const std::string& name : data::names_in(folder, true))
    add_images_in(folder + "/" + name, depth + 1, files);
}

inline std::vector<std::string> image_files(const std::vector<std::string>& words) {
  std::vector<std::string> files;
  for (std::string word : words) {
    if (!std::filesystem::is_directory(word)) {
      files.push_back(word);
      continue;
    }
    while (word.size() > 1 && word.ends_with('/')) word.pop_back();
    const size_t before = files.size();
    add_images_in(word, 0, files);
    CHECK(files.size() > before, word, ": is a folder without images (.jpg .jpeg .png)");
  }
  return files;
}

}  // namespace rmt
