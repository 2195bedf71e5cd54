// What the processes of one run (core/processes) tell each other of their images: which were bad,
// and which files there are. All of them make these calls.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "core/processes/processes.h"
#include "data/batches.h"
#include "data/dataset.h"

namespace rmt::data {

// The bad images of a data set of which each process has a part (LoaderOptions::rank). In another
// epoch another process may meet the same file, which still counts once.
class BadImages {
 public:
  // Of `most` and one more next() makes an Error, as a loader does of its own (max_bad).
  BadImages(int64_t most, Processes& processes) : most_(most), processes_(processes) {}
  // Those met by any process since the last call, in the order of ranks: the same for every
  // process. `loader` is always this process's one.
  std::vector<BadImage> next(const Batches& loader);

 private:
  int64_t most_;
  Processes& processes_;
  size_t told_ = 0;  // of the loader's
  std::set<std::string> known_;
};

// As open_train_and_val(root, val_split). Where every image is a file of its own, the first process
// alone looks for them and tells the others, since to walk over a million files in each of many
// processes is hard on a file server; they see its files in its order even if theirs differ. Sets
// that are packed (records, archives, CIFAR) are opened by each.
TrainAndVal open_train_and_val(const std::string& root, double val_split, Processes& processes);

}  // namespace rmt::data
