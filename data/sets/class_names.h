// Names of classes for people. A class is known by its folder's name (n01440764), in labels,
// checkpoints and packs; a table beside the images says what that means: one class a line, its
// folder's name, a tab or a blank, and the words (n01440764 tench, Tinca tinca).
#pragma once
#include <map>
#include <string>
#include <vector>

namespace rmt::data {

// Lines without words are skipped. Error when a class stands there twice with different words.
std::map<std::string, std::string> read_class_table(const std::string& path);

// The table in a folder of images, or "": words.tsv, words.txt, LOC_synset_mapping.txt,
// synset_words.txt or classes.txt, the first that is there.
std::string find_class_table(const std::string& root);

// By label: "tench, Tinca tinca"; the class itself where the table has no words for it.
std::vector<std::string> class_words(const std::vector<std::string>& classes,
                                     const std::map<std::string, std::string>& table);

}  // namespace rmt::data
