// Strings of any bytes between processes: names of files, messages.
#pragma once
#include <string>
#include <vector>

#include "core/processes/processes.h"

namespace rmt {

// Every process's text, in the order of ranks. Lengths may differ.
std::vector<std::string> all_gather(const std::string& text, Processes& processes);
// The text that process `root` has; those of the others do not matter.
std::string broadcast(const std::string& text, Processes& processes, int64_t root = 0);

}  // namespace rmt
