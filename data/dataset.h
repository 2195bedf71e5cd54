// A labelled set of images, wherever they lie: what the loader reads from and nothing else. One
// class for each layout; open_dataset() tells which one a folder is:
//
//   data/sets/image_folder.h   one folder a class
//   data/sets/flat_folder.h    one folder and a list of classes
//   data/sets/records.h        packed by rmt-data
//   data/sets/tar.h            WebDataset's shards
//   data/sets/cifar.h          CIFAR-10 and CIFAR-100
//   data/sets/subset.h         a part of another set, held out for validation
//
// A set of one's own needs four functions, and may lie in memory:
//
//   struct Faces : data::Dataset {
//     std::vector<data::Image> images;
//     std::vector<int64_t> labels;
//     std::vector<std::string> names{"sad", "merry"};
//     int64_t size() const override { return int64_t(images.size()); }
//     int64_t label(int64_t i) const override { return labels[i]; }
//     data::Image image(int64_t i) const override { return images[i]; }
//     const std::vector<std::string>& classes() const override { return names; }
//   };
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/images/image.h"

namespace rmt::data {

// What a walk over class folders met and did not take as it lies there. Each kind is counted, and
// its first names, below the set's place, are kept as examples.
struct Leftovers {
  struct Files {
    int64_t count = 0;
    std::vector<std::string> examples;  // at most 3, in natural order
    void add(const std::string& name);
  };
  std::map<std::string, Files> unread;  // by extension, in lower case; "" without one
  Files beside;                         // images beside the class folders: of no class, not read
  Files deeper;  // images of a class that has them in several folders: read, as of one class
};

class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual int64_t size() const = 0;
  virtual int64_t label(int64_t i) const = 0;  // in [0, classes().size())
  // Decoded; from any number of threads at once. Errors begin with name(i).
  virtual Image image(int64_t i) const = 0;
  virtual const std::vector<std::string>& classes() const = 0;  // names, by label

  // What follows is said here for a set in memory; those that read files say it better.

  // The image as it lies there: a JPEG or PNG file (CIFAR: three planes of pixels). In memory: a
  // PNG of image(i).
  virtual std::vector<uint8_t> bytes(int64_t i) const;
  virtual std::string name(int64_t i) const;  // for people: a path, or a place in a file
  // By what image i is known again: of a file, without decoding it, its name below place() and its
  // size, and what is known of its content at no cost; in memory the pixels. From any number of
  // threads at once.
  virtual uint64_t checksum(int64_t i) const;
  virtual const std::string& place() const;  // for people: the folder or file
  virtual Leftovers leftovers() const { return {}; }
  // Is every image a file that holds nothing else, name(i), below the folder place()?
  virtual bool is_files() const { return false; }
};

// The images of one part of a folder, whatever the layout. Capitals do not matter (Train/, VAL/).
//   "train"   train/ or training/
//   "val"     val/, validation/ or valid/; without them test/, where it holds labelled images
//   "test"    test/
//   "all"     class folders alone, root/cat/1.jpg: every image
// With val_split above 0 (--val-split) "val" is that part of each class of the training images,
// those of train/ or of class folders alone, and "train" is the rest (data/sets/subset.h); Error
// where there is a val/. Given the names of known classes (those of the training set), labels
// follow them. Error that says what was found, and shows the layouts, when the part is not there.
std::unique_ptr<Dataset> open_dataset(const std::string& root, const std::string& split,
                                      const std::vector<std::string>& known_classes = {},
                                      double val_split = 0);

// Of a whole set: the checksums and labels of its images, in their order, as 16 hexadecimal digits.
// The same wherever the set lies; another one when an image is renamed, moved to another class, or
// replaced by one of another size. A million files take some seconds.
std::string checksum(const Dataset& data);

// Both parts that training needs: as two calls, but class folders are walked once.
struct TrainAndVal {
  std::unique_ptr<Dataset> train, val;
};
TrainAndVal open_train_and_val(const std::string& root, double val_split = 0);

// Is there anything that looks like this part? For "val" test/ counts.
bool has_split(const std::string& root, const std::string& split);

// How an image is called below its set's place: cat/1.jpg. Stays when the folder moves, and when
// it is packed.
std::string short_name(const Dataset& data, int64_t i);

// --- for the classes of data/sets ---

// .jpg .jpeg .jpe .jfif .png, without regard to case
bool is_image_name(const std::string& file);
std::string extension_of(const std::string& file);  // ".webp", in lower case; "" without one
std::string in_lower_case(std::string text);        // ASCII's letters
bool is_plain_text(const std::string& name);        // not empty, without control characters
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
