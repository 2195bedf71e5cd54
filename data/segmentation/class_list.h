// The names of a data set's classes, in the order of their numbers.
#pragma once
#include <string>
#include <vector>

namespace rmt::data {

// From classes.txt in the folder, a name a line, or from objectInfo150.txt, the table that ADE20K
// comes with: tabs between number, three counts and the name, of whose synonyms the first is taken.
// None when there is neither. Errors begin with the file's path: no name in it, more than 255, a
// line without a name, numbers in disorder, control characters.
std::vector<std::string> read_class_list(const std::string& root);
std::vector<std::string> read_class_names(const std::string& path);  // classes.txt
std::vector<std::string> read_class_info(const std::string& path);   // objectInfo150.txt

}  // namespace rmt::data
