// Images in .tar archives as WebDataset writes them: members key.jpg (.jpeg, .png) and key.cls, the
// label in decimal, one behind the other. The archives are root/train-000000.tar ... or
// root/train/*.tar (val, validation alike), in natural order, the samples as they lie in them.
// classes.txt in root or beside the archives names the classes, a line each; without it they are
// called 0, 1, ... up to the highest label.
#pragma once
#include <functional>

#include "core/files/files.h"
#include "data/dataset.h"

namespace rmt::data {

struct TarMember {
  std::string name;
  uint64_t offset = 0, bytes = 0;  // of its content
};

// Calls f for every regular file of an archive, in its order, reading headers alone: ustar
// (POSIX.1-1988), GNU's long names and large sizes, path and size of pax (POSIX.1-2001). Links,
// folders and devices are passed over. Error that names the archive, and the member where there is
// one, for a wrong checksum, a size beyond the file's end, a field or type that is not understood,
// and an end without the block of zeros that closes an archive.
void read_tar(const InputFile& file, const std::function<void(const TarMember&)>& f);

std::vector<std::string> tar_files(const std::string& root, const std::string& split);

class TarShards : public Dataset {
 public:
  // Reads all headers, several archives at once. Errors: an image without .cls or the reverse, a
  // key that comes twice in an archive, a label that is none.
  TarShards(const std::string& root, const std::string& split,
            const std::vector<std::string>& known_classes = {});

  int64_t size() const override { return int64_t(samples_.size()); }
  int64_t label(int64_t i) const override { return labels_[size_t(samples_[size_t(i)].label)]; }
  Image image(int64_t i) const override;
  std::vector<uint8_t> bytes(int64_t i) const override;
  std::string name(int64_t i) const override;  // archive:member
  uint64_t checksum(int64_t i) const override {
    return checksum_of(samples_[size_t(i)].name, samples_[size_t(i)].bytes);
  }
  const std::vector<std::string>& classes() const override { return classes_; }
  const std::string& place() const override { return place_; }

  struct Sample {
    std::string name;  // of the image
    uint64_t offset = 0;
    uint32_t bytes = 0, shard = 0;
    int64_t label = -1;
  };

 private:
  std::string place_;
  std::vector<std::string> classes_;
  // An archive is opened for every image: there may be more of them than files that a process may
  // hold open.
  std::vector<std::string> files_;
  std::vector<int64_t> labels_;  // by the label in the archives
  std::vector<Sample> samples_;
};

}  // namespace rmt::data
