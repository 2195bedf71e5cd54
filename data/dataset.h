// A labelled set of images, wherever they lie: what the loader reads from and nothing else. One class a place; open_dataset() tells which it is.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/image.h"

namespace rmt {

class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual int64_t size() const = 0;
  virtual int64_t label(int64_t i) const = 0;                   // in [0, classes().size())
  virtual Image image(int64_t i) const = 0;                     // decoded; from any number of threads at once; Error that begins with name(i)
  virtual std::string name(int64_t i) const = 0;                // for people: a path, or a record's place in its file
  virtual const std::vector<std::string>& classes() const = 0;  // names, by label
  virtual const std::string& place() const = 0;                 // for people: the folder or file
};

// The images of one split, "train" or "val", below `root`. Given the names of known classes (those of the training set), labels follow them. Error that
// shows the layouts which are understood when there is none of them.
std::unique_ptr<Dataset> open_dataset(const std::string& root, const std::string& split, const std::vector<std::string>& known_classes = {});

}  // namespace rmt
