// A labelled set of images, wherever they lie: what the loader reads from and nothing else. One
// class for each layout; open_dataset() tells which one a folder is:
//
//   data/sets/image_folder.h   one folder a class
//   data/sets/flat_folder.h    one folder and a list of classes
//   data/sets/records.h        packed by rmt-data
//   data/sets/tar.h            WebDataset's shards
//   data/sets/cifar.h          CIFAR-10 and CIFAR-100
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/images/image.h"

namespace rmt::data {

class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual int64_t size() const = 0;
  virtual int64_t label(int64_t i) const = 0;  // in [0, classes().size())
  // Decoded; from any number of threads at once. Errors begin with name(i).
  virtual Image image(int64_t i) const = 0;
  // The same as it lies there: a JPEG or PNG file (CIFAR: three planes of pixels).
  virtual std::vector<uint8_t> bytes(int64_t i) const = 0;
  virtual std::string name(int64_t i) const = 0;  // for people: a path, or a place in a file
  // By what image i is known again, without decoding it: its name below place() and its size, and
  // what is known of its content at no cost. From any number of threads at once.
  virtual uint64_t checksum(int64_t i) const = 0;
  virtual const std::vector<std::string>& classes() const = 0;  // names, by label
  virtual const std::string& place() const = 0;                 // for people: the folder or file
};

// The images of one split, "train" or "val", below `root`. Given the names of known classes (those
// of the training set), labels follow them. Error that shows the layouts which are understood when
// there is none of them.
std::unique_ptr<Dataset> open_dataset(const std::string& root, const std::string& split,
                                      const std::vector<std::string>& known_classes = {});

// Of a whole set: the checksums and labels of its images, in their order, as 16 hexadecimal digits.
// The same wherever the set lies; another one when an image is renamed, moved to another class, or
// replaced by one of another size. A million files take some seconds.
std::string checksum(const Dataset& data);

// Is there anything that looks like this split?
bool has_split(const std::string& root, const std::string& split);

// --- for the classes of data/sets ---

const char* dataset_layouts();  // the text that shows the layouts, "\n..."
// root/train, root/val or root/validation; "" when there is none.
std::string split_folder(const std::string& root, const std::string& split);
bool is_image_name(const std::string& file);  // .jpg .jpeg .png, without regard to case
bool is_plain_text(const std::string& name);  // not empty, without control characters
// The names of a folder's folders, or of its files, in natural order, hidden ones skipped.
std::vector<std::string> names_in(const std::string& folder, bool folders);

// A checksum of a name and a number (FNV-1a), and of a file by its name and its size.
uint64_t checksum_of(const std::string& name, uint64_t number);
uint64_t checksum_of_file(const std::string& folder, const std::string& name);

// The known label of each of a set's own classes; 0, 1, ... when none are known. Error that names
// `place` when a class is not among them.
std::vector<int64_t> known_labels(const std::vector<std::string>& own,
                                  const std::vector<std::string>& known, const std::string& place);

// timm's order of names: digits compare as numbers and come before all else, letters without regard
// to case: a2 < a10 < a-1 < B1.
bool natural_less(const std::string& a, const std::string& b);

}  // namespace rmt::data
