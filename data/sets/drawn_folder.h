// A folder that the project fills itself: complete or not at all, made once, and never in the place
// of somebody's own.
#pragma once
#include <functional>
#include <string>

namespace rmt::data {

// `mark` says what the folder holds, in one line; it is written into root/drawings.txt, by whose
// presence a folder is known as one of ours. Returns at once, false, when root has this mark;
// replaces what has another; Error for a folder without, and for "", "." and "/". fill() is given
// root.tmp, which does not exist yet and takes root's name when it is full. One process fills at a
// time; the others wait, and find the work done.
bool fill_drawn_folder(const std::string& root, const std::string& mark,
                       const std::function<void(const std::string& folder)>& fill);

}  // namespace rmt::data
