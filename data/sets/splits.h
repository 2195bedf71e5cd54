// Where the parts of a data folder lie: train/, val/ and test/ under their usual names, or class
// folders alone; and what to tell a user whose folder is arranged otherwise.
#pragma once
#include <string>
#include <vector>

namespace rmt::data {

// The folder of the part "train", "val" or "test" below `root` under one of its names, the first
// of them first, written as here before other capitals; `root` itself for "all" when class folders
// lie alone in it; "" when there is none. Error when there is no such root or part.
//   train, training   val, validation, valid   test
std::string split_folder(const std::string& root, const std::string& split);

// The folders of `root` that hold images, two or more, when nothing else stands there that looks
// like a data set: no train/, val/ or test/, and no folder that holds these.
std::vector<std::string> class_folders_alone(const std::string& root);

// The error that this part is missing: what was found and what to do, then the layouts.
std::string missing_split(const std::string& root, const std::string& split);

const char* dataset_layouts();  // the text that shows the layouts, "\n..."

}  // namespace rmt::data
