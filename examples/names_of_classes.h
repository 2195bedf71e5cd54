// The classes of a model for people, who know a tench and not n01440764.
#pragma once
#include <iostream>

#include "data/sets/class_names.h"
#include "train/predictions.h"

namespace rmt {

// The classes as the model calls them, and what a table of words says of them: the table `given`,
// or where that is "" the one beside the training images. An unreadable table is an error when it
// is given, else a warning.
inline train::ClassNames names_of_classes(const char* program, const train::ModelFile& file,
                                          const std::string& given) {
  const int64_t K = file.num_classes;
  train::ClassNames names;
  for (int64_t k = 0; k < K; ++k) names.labels.push_back(file.class_name(k));
  names.words.resize(size_t(K));
  const std::string table = !given.empty() || file.options.data_dir.empty()
                                ? given
                                : data::find_class_table(file.options.data_dir);
  if (table.empty()) return names;
  try {
    const std::vector<std::string> words =
        data::class_words(names.labels, data::read_class_table(table));
    for (size_t k = 0; k < words.size(); ++k)
      if (words[k] != names.labels[k]) names.words[k] = words[k];
  } catch (const Error& e) {
    if (!given.empty()) throw;
    std::cerr << program << ": names of classes are left out: " << e.what() << std::endl;
  }
  return names;
}

}  // namespace rmt
