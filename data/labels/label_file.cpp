#include "data/labels/label_file.h"

#include <algorithm>

#include "core/error.h"
#include "data/dataset.h"

namespace rmt::data {
namespace {

std::vector<uint64_t> keys_of(const std::vector<std::string>& names, const std::string& path) {
  std::vector<uint64_t> keys;
  std::vector<std::pair<uint64_t, size_t>> sorted;
  for (size_t i = 0; i < names.size(); ++i) {
    keys.push_back(checksum_of(names[i], 0));
    sorted.push_back({keys.back(), i});
  }
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 1; i < sorted.size(); ++i)
    CHECK(sorted[i - 1].first != sorted[i].first, path, ": the images ",
          names[sorted[i - 1].second], " and ", names[sorted[i].second],
          " cannot be told apart; rename one of them");
  return keys;
}

}  // namespace

LabelFile::LabelFile(const std::string& path)
    : file_(path), head_(label_file_head(file_)), records_at_(head_.bytes()) {
  const uint64_t n = head_.keys.size(), bytes = records_at_ + n * head_.record_bytes();
  CHECK(file_.size() == bytes, path, ": has ", file_.size(), " bytes, expected ", bytes, " for ", n,
        " images; it was cut short or is still written: copy it again, or run rmt-label again");
  for (size_t i = 0; i < n; ++i) places_.push_back({head_.keys[i], int64_t(i)});
  std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) {
    return a.key < b.key || (a.key == b.key && a.record < b.record);
  });
  const auto twice =
      std::adjacent_find(places_.begin(), places_.end(),
                         [](const Place& a, const Place& b) { return a.key == b.key; });
  CHECK(twice == places_.end(), path, ": records ", twice->record, " and ", (twice + 1)->record,
        " are of the same image; run rmt-label again");
}

bool LabelFile::read(int64_t i, LabelMap& map) const {
  const size_t bytes = head_.record_bytes();
  const std::vector<uint8_t> record = file_.read(bytes, records_at_ + uint64_t(i) * bytes);
  const std::string name = str(place(), ": record ", i);
  CHECK(is_sound(record, head_.keys[size_t(i)]), name,
        ": the checksum is wrong; the file is damaged, copy it again or run rmt-label again");
  if (!read_record(record, head_, map)) return false;
  check_label_map(map, int64_t(classes().size()), name);
  return true;
}

LabelMap LabelFile::at(int64_t i) const {
  CHECK(i >= 0 && i < size(), place(), ": has no record ", i, ", it has ", size());
  LabelMap map;
  CHECK(read(i, map), place(), ": record ", i,
        " has no map: its image could not be read when the labels were made");
  return map;
}

LabelMap LabelFile::of(const std::string& name) const {
  const uint64_t key = checksum_of(name, 0);
  const auto found = std::lower_bound(places_.begin(), places_.end(), key,
                                      [](const Place& p, uint64_t k) { return p.key < k; });
  CHECK(found != places_.end() && found->key == key, name, ": has no label map in ", place(),
        "; make labels of this data set with rmt-label");
  LabelMap map;
  CHECK(read(found->record, map), name, ": has no label map in ", place(),
        ": it could not be read when the labels were made; run rmt-label again");
  return map;
}

LabelFileWriter::LabelFileWriter(const std::string& path, const LabelFileInfo& info,
                                 const std::vector<std::string>& names)
    : path_(path),
      partial_(path + ".partial"),
      head_{info, keys_of(names, path)},
      begin_(to_bytes(head_, path)),
      file_(partial_, path, OutputFile::Rest::resumed) {
  resume();
}

// A file that ends within the head, and is like it so far, is of a writer that was killed at once.
void LabelFileWriter::resume() {
  const InputFile old(partial_);
  const std::vector<uint8_t> there =
      old.read(size_t(std::min<uint64_t>(old.size(), begin_.size())), 0);
  const bool same = std::equal(there.begin(), there.end(), begin_.begin());
  if (!same) check_same(label_file_head(old));
  CHECK(same, partial_, ": is not what rmt-label writes; remove it");
  if (there.size() < begin_.size()) {
    file_.cut(0);
    file_.append(begin_.data(), begin_.size());
    return;
  }
  const uint64_t bytes = head_.record_bytes();
  auto end = [&](int64_t records) { return begin_.size() + uint64_t(records) * bytes; };
  while (done_ < size() && end(done_ + 1) <= old.size() &&
         is_sound(old.read(bytes, end(done_)), head_.keys[size_t(done_)]))
    ++done_;
  file_.cut(end(done_));
}

void LabelFileWriter::check_same(const LabelFileHead& old) const {
  const LabelFileInfo &was = old.info, &now = head_.info;
  auto check = [&](bool same, const auto&... what) {
    CHECK(same, partial_, ": an earlier run has left it, made with ", what...,
          "; remove it, or give the same flags");
  };
  check(was.height == now.height && was.width == now.width, was.height, " x ", was.width,
        " cells, now ", now.height, " x ", now.width);
  check(was.top == now.top, was.top, " logits a cell, now ", now.top);
  check(was.teacher == now.teacher, "the teacher ", was.teacher, ", now ", now.teacher);
  check(was.classes.size() == now.classes.size(), was.classes.size(), " classes, now ",
        now.classes.size());
  for (size_t k = 0; k < now.classes.size(); ++k)
    check(was.classes[k] == now.classes[k], "class ", k, " called ", was.classes[k], ", now ",
          now.classes[k]);
  check(old.keys.size() == head_.keys.size(), old.keys.size(), " images, now ", head_.keys.size());
  const auto [a, b] = std::mismatch(old.keys.begin(), old.keys.end(), head_.keys.begin());
  check(a == old.keys.end(), "another image ", a - old.keys.begin());
}

void LabelFileWriter::add(const std::string& name, const LabelMap* map) {
  CHECK(done_ < size() && checksum_of(name, 0) == head_.keys[size_t(done_)], path_, ": ", name,
        " is not image ", done_, " of the ", size(), " that it was begun for");
  const std::vector<uint8_t> record =
      to_bytes(head_, head_.keys[size_t(done_)], map, path_ + ": " + name);
  file_.append(record.data(), record.size());
  ++done_;
}

void LabelFileWriter::add(const std::string& name, const LabelMap& map) {
  const LabelFileInfo& info = head_.info;
  CHECK(map.height == info.height && map.width == info.width && map.top == info.top &&
            map.values.size() == size_t(map.height * map.width * map.top) &&
            map.classes.size() == map.values.size(),
        path_, ": ", name, " has ", map.height, " x ", map.width, " cells of ", map.top,
        " logits, expected ", info.height, " x ", info.width, " of ", info.top);
  check_label_map(map, int64_t(info.classes.size()), path_ + ": " + name);
  add(name, &map);
}

void LabelFileWriter::add_none(const std::string& name) { add(name, nullptr); }

void LabelFileWriter::finish() {
  CHECK(done_ == size(), path_, ": only ", done_, " of ", size(), " images have labels");
  file_.publish(path_);
  sync_folder_of(path_);
}

}  // namespace rmt::data
