// What a user should know of a data set before training on it, as lines without a newline: files
// that are not read, classes that are not validated, images smaller than the model's. None costs a
// second walk over the files.
#pragma once
#include "data/dataset.h"

namespace rmt::data {

// On the leftovers of the folder `place`: one line for each sort, and what converts what is not
// read. With `all` also on files that are no pictures (.txt, .db), which a training run need not
// hear of.
std::vector<std::string> remarks_on_files(const Leftovers& left, const std::string& place,
                                          bool all = false);

// On both sets of a run: their files; where validation images come from, if not from val/; classes
// without any; images of which half are no larger than half of img_size (a few dozen headers are
// read).
std::vector<std::string> remarks_on_run(const Dataset& train, const Dataset& val, int64_t img_size);

// "a, b, c, d, e and 7 more"
std::string first_names(const std::vector<std::string>& names);

}  // namespace rmt::data
