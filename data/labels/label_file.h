// Label maps in one file of our own, in the form of data/labels/label_format.h. A data set's may
// have gigabytes, so a map is read when it is asked for; what is in memory is 24 bytes an image.
#pragma once
#include "core/files/input_file.h"
#include "core/files/output_file.h"
#include "data/labels/label_format.h"
#include "data/labels/label_maps.h"

namespace rmt::data {

class LabelFile : public LabelMaps {
 public:
  // Reads and checks what stands in front of the records; a record is checked when it is read.
  // Errors begin with the path.
  explicit LabelFile(const std::string& path);

  LabelMap of(const std::string& name) const override;
  int64_t height() const override { return head_.info.height; }
  int64_t width() const override { return head_.info.width; }
  int64_t top() const override { return head_.info.top; }
  const std::vector<std::string>& classes() const override { return head_.info.classes; }
  const std::string& place() const override { return file_.path(); }

  const std::string& teacher() const { return head_.info.teacher; }
  int64_t size() const { return int64_t(head_.keys.size()); }  // images
  // The map of image i, in the order in which they were written. Error when it has none.
  LabelMap at(int64_t i) const;

 private:
  // False when the image has none.
  bool read(int64_t i, LabelMap& map) const;

  InputFile file_;
  LabelFileHead head_;
  uint64_t records_at_;  // byte
  struct Place {
    uint64_t key;
    int64_t record;
  };
  std::vector<Place> places_;  // by rising key
};

// Writes a label file under the name path.partial, image by image, and gives it its name at the
// end. Killed at any moment, or stopped by a full disk, it leaves what was complete; another one
// for the same images goes on behind that. Errors begin with the path.
//
//   LabelFileWriter writer(path, info, names);
//   for (int64_t i = writer.done(); i < writer.size(); ++i) writer.add(names[i], map_of(i));
//   writer.finish();
class LabelFileWriter {
 public:
  // `names`: the short names of all images, in the order of add(). What an earlier writer has left
  // is read through and kept as far as it is sound; Error that names the difference when it was
  // made for other maps, classes, images or by another teacher ("made with 14 x 14 cells, now
  // 7 x 7; ...").
  LabelFileWriter(const std::string& path, const LabelFileInfo& info,
                  const std::vector<std::string>& names);

  int64_t size() const { return int64_t(head_.keys.size()); }  // images
  int64_t done() const { return done_; }  // images that are written: names[done()] is the next

  // The map of the next image, whose name is given once more so that none is mixed up: logits up to
  // 65504, rounded to f16. An Error leaves done() as it was.
  void add(const std::string& name, const LabelMap& map);
  // The next image cannot be read and has no map.
  void add_none(const std::string& name);
  void finish();  // all must be written; until they are on disk, under `path`

 private:
  void resume();
  void check_same(const LabelFileHead& old) const;
  void add(const std::string& name, const LabelMap* map);

  std::string path_, partial_;
  LabelFileHead head_;
  std::vector<uint8_t> begin_;  // the head as bytes
  int64_t done_ = 0;
  OutputFile file_;
};

}  // namespace rmt::data
