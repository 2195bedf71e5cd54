#include "data/sharing.h"

#include "core/error.h"
#include "core/processes/bytes.h"
#include "data/sets/listed_files.h"

namespace rmt::data {

std::vector<BadImage> BadImages::next(const Batches& loader) {
  std::string mine;  // path and reason of each, a zero byte behind either
  for (; told_ < loader.bad().size(); ++told_) {
    const BadImage& bad = loader.bad()[told_];
    mine += bad.path + '\0' + bad.reason + '\0';
  }
  std::vector<BadImage> met;
  for (const std::string& texts : all_gather(mine, processes_))
    for (size_t at = 0; at < texts.size();) {
      const size_t path = texts.find('\0', at), reason = texts.find('\0', path + 1);
      BadImage bad{texts.substr(at, path - at), texts.substr(path + 1, reason - path - 1)};
      if (known_.insert(bad.path).second) met.push_back(std::move(bad));
      at = reason + 1;
    }
  CHECK(int64_t(known_.size()) <= most_, "more than ", most_, " images could not be read",
        met.empty() ? "" : ", the last one: " + met.back().path + ": " + met.back().reason,
        "; repair the data or raise --max-bad-images");
  return met;
}

TrainAndVal open_train_and_val(const std::string& root, double val_split, Processes& processes) {
  if (processes.size() == 1) return open_train_and_val(root, val_split);
  TrainAndVal sets;
  std::string train, val;
  if (processes.is_first()) {
    sets = open_train_and_val(root, val_split);
    if (sets.train->is_files() && sets.val->is_files())
      train = list_files(*sets.train), val = list_files(*sets.val);
  }
  train = broadcast(train, processes);
  val = broadcast(val, processes);
  if (train.empty())
    return processes.is_first() ? std::move(sets) : open_train_and_val(root, val_split);
  const bool first = processes.is_first();
  return {std::make_unique<ListedFiles>(train, first ? sets.train->leftovers() : Leftovers()),
          std::make_unique<ListedFiles>(val, first ? sets.val->leftovers() : Leftovers())};
}

}  // namespace rmt::data
