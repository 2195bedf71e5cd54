// A part of another data set: what --val-split holds out of the training images, or the rest.
#pragma once
#include "data/dataset.h"

namespace rmt::data {

// Which images --val-split holds out for validation: of a class of n images n * part, rounded, at
// least one where n is two or more, and never all. They are those that come first in an order
// which a hash of their short names makes. So the choice is the same on every machine, in a moved
// or packed folder, and for every --seed: runs of several seeds are compared on the same images,
// and a model that is fine-tuned further has not been trained on what it is validated with.
std::vector<bool> held_out(const Dataset& data, double part);

class Subset : public Dataset {
 public:
  // Those images of `whole` whose `chosen` is `value`, in their order.
  Subset(std::shared_ptr<const Dataset> whole, const std::vector<bool>& chosen, bool value);

  int64_t size() const override { return int64_t(indices_.size()); }
  int64_t label(int64_t i) const override { return whole_->label(at(i)); }
  Image image(int64_t i) const override { return whole_->image(at(i)); }
  std::vector<uint8_t> bytes(int64_t i) const override { return whole_->bytes(at(i)); }
  std::string name(int64_t i) const override { return whole_->name(at(i)); }
  uint64_t checksum(int64_t i) const override { return whole_->checksum(at(i)); }
  const std::vector<std::string>& classes() const override { return whole_->classes(); }
  const std::string& place() const override { return whole_->place(); }
  Leftovers leftovers() const override { return whole_->leftovers(); }
  bool is_files() const override { return whole_->is_files(); }

 private:
  int64_t at(int64_t i) const { return indices_[size_t(i)]; }

  std::shared_ptr<const Dataset> whole_;
  std::vector<int64_t> indices_;
};

}  // namespace rmt::data
