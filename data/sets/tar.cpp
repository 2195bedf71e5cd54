#include "data/sets/tar.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <unordered_set>

#include "core/error.h"
#include "core/parallel.h"
#include "data/sets/splits.h"

namespace rmt::data {
namespace {

constexpr uint64_t kBlock = 512;
constexpr size_t kMaxExtension = 1 << 16;  // bytes of a long name or of a pax header
constexpr int64_t kMaxClasses = 1 << 20;

// Reads a file from its beginning to its end with few calls: a small window, moved when something
// outside it is asked for.
class Window {
 public:
  explicit Window(const InputFile& file) : file_(file) {}
  const uint8_t* at(uint64_t offset, size_t bytes) {  // of the file, all inside it
    if (offset < begin_ || offset + bytes > begin_ + bytes_.size()) {
      begin_ = offset;
      bytes_ = file_.read(
          size_t(std::min<uint64_t>(std::max<size_t>(bytes, 4096), file_.size() - offset)), offset);
    }
    return bytes_.data() + (offset - begin_);
  }

 private:
  const InputFile& file_;
  uint64_t begin_ = 0;
  std::vector<uint8_t> bytes_;
};

// A field of a header: octal digits between blanks, ended by a blank or NUL; or GNU's: top bit set,
// then big-endian. -1: neither.
int64_t number_field(const uint8_t* p, size_t n) {
  uint64_t value = 0;
  if (p[0] == 0x80) {
    for (size_t i = 1; i < n; ++i) {
      if (value >> 54) return -1;
      value = value << 8 | p[i];
    }
    return int64_t(value);
  }
  size_t i = 0, digits = 0;
  while (i < n && p[i] == ' ') ++i;
  for (; i < n && p[i] >= '0' && p[i] <= '7'; ++i, ++digits)
    value = value << 3 | uint64_t(p[i] - '0');
  const bool ended = std::all_of(p + i, p + n, [](uint8_t c) { return c == ' ' || c == 0; });
  return digits > 0 && ended ? int64_t(value) : -1;
}

std::string text_field(const uint8_t* p, size_t n) {
  return std::string(p, std::find(p, p + n, uint8_t(0)));
}

// The sum of the header's bytes, its own field taken as blanks; old writers took the bytes as
// signed.
bool checksum_fits(const uint8_t* header) {
  int64_t sum = 0, signed_sum = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    const uint8_t c = i >= 148 && i < 156 ? ' ' : header[i];
    sum += c;
    signed_sum += int8_t(c);
  }
  const int64_t recorded = number_field(header + 148, 8);
  return recorded >= 0 && (recorded == sum || recorded == signed_sum);
}

// Records "<bytes> <key>=<value>\n" of a pax header; its path and its size, where they are there,
// hold for the next member.
void read_pax(const uint8_t* p, size_t n, const std::string& where, std::string& path,
              int64_t& size) {
  const auto *at = reinterpret_cast<const char*>(p), *end = at + n;
  while (at < end) {
    size_t length = 0;
    auto [blank, error] = std::from_chars(at, end, length);
    CHECK(error == std::errc() && blank < end && *blank == ' ' && length <= size_t(end - at) &&
              length > size_t(blank - at) + 1 && at[length - 1] == '\n',
          where, ": has a broken pax header; make the archive again");
    const std::string record(blank + 1, at + length - 1);
    if (record.starts_with("path=")) path = record.substr(5);
    if (record.starts_with("size=")) {
      const char *digits = record.data() + 5, *last = record.data() + record.size();
      auto [stop, bad] = std::from_chars(digits, last, size);
      CHECK(bad == std::errc() && stop == last && size >= 0, where,
            ": has a broken size in its pax header; make the archive again");
    }
    at += length;
  }
}

// The name in the header itself; POSIX has room for its folders apart.
std::string short_member_name(const uint8_t* header) {
  const std::string name = text_field(header, 100),
                    folders = std::memcmp(header + 257, "ustar", 6) == 0
                                  ? text_field(header + 345, 155)
                                  : "";
  return folders.empty() ? name : folders + "/" + name;
}

// What sets a sample's files apart: everything up to the first dot of the name without its folders.
size_t key_end(const std::string& name) {
  const size_t slash = name.rfind('/');
  return name.find('.', slash == std::string::npos ? 0 : slash + 1);
}

int64_t read_label(const InputFile& file, const TarMember& member) {
  const std::string where = file.path() + ":" + member.name;
  CHECK(member.bytes >= 1 && member.bytes <= 32, where, ": has ", member.bytes,
        " bytes, expected a label in decimal");
  std::vector<uint8_t> bytes = file.read(size_t(member.bytes), member.offset);
  while (!bytes.empty() && (bytes.back() == '\n' || bytes.back() == '\r' || bytes.back() == ' '))
    bytes.pop_back();
  int64_t label = -1;
  const auto *begin = reinterpret_cast<const char*>(bytes.data()), *end = begin + bytes.size();
  auto [stop, error] = std::from_chars(begin, end, label);
  CHECK(error == std::errc() && stop == end && label >= 0 && label < kMaxClasses, where,
        ": is no label in decimal (0 ... ", kMaxClasses - 1, ")");
  return label;
}

// The samples of one archive: consecutive members with the same key.
class Samples {
 public:
  Samples(const InputFile& file, uint32_t shard) : file_(file), shard_(shard) {}
  std::vector<TarShards::Sample> read() {
    read_tar(file_, [&](const TarMember& member) { add(member); });
    finish();
    return std::move(samples_);
  }

 private:
  void add(const TarMember& member) {
    const size_t dot = key_end(member.name);
    const bool label = dot != std::string::npos && member.name.substr(dot) == ".cls";
    const bool image = dot != std::string::npos && is_image_name(member.name) &&
                       member.name.find('.', dot + 1) == std::string::npos;
    if (!label && !image) return;
    const std::string key = member.name.substr(0, dot);
    if (key != key_) finish();
    if (key_.empty() && !label_ && sample_.name.empty()) {
      CHECK(seen_.insert(key).second, file_.path(), ":", member.name, ": its key ", key,
            " came before in this archive; make the archive again");
      key_ = key;
    }
    if (label) {
      CHECK(!label_, file_.path(), ":", member.name,
            ": is the second label of its sample; make the archive again");
      sample_.label = read_label(file_, member);
      label_ = true;
    } else {
      CHECK(sample_.name.empty(), file_.path(), ":", member.name,
            ": is the second image of its sample, after ", sample_.name,
            "; make the archive again");
      CHECK(member.bytes <= kMaxImageFile, file_.path(), ":", member.name, ": ", member.bytes,
            " bytes, more than the 64 MiB that an image file may have");
      sample_.name = member.name, sample_.offset = member.offset,
      sample_.bytes = uint32_t(member.bytes);
    }
  }
  void finish() {
    if (label_ || !sample_.name.empty()) {
      CHECK(label_, file_.path(), ":", sample_.name, ": there is no ", key_,
            ".cls beside it, which would tell its class");
      CHECK(!sample_.name.empty(), file_.path(), ":", key_, ".cls: there is no image beside it");
      sample_.shard = shard_;
      samples_.push_back(std::move(sample_));
    }
    sample_ = {}, label_ = false, key_.clear();
  }

  const InputFile& file_;
  const uint32_t shard_;
  std::string key_;
  bool label_ = false;
  TarShards::Sample sample_;
  std::unordered_set<std::string> seen_;
  std::vector<TarShards::Sample> samples_;
};

std::vector<std::string> read_classes(const std::string& root, const std::string& folder,
                                      int64_t highest) {
  std::error_code ignored;
  for (const std::string& path : {root + "/classes.txt", folder + "/classes.txt"}) {
    if (!std::filesystem::is_regular_file(path, ignored)) continue;
    const std::vector<std::string> names = read_lines(path, size_t(64) << 20);
    std::unordered_set<std::string> seen;
    for (const std::string& name : names)
      CHECK(is_plain_text(name) && seen.insert(name).second, path, ": line ", seen.size() + 1,
            " is empty or there before; expected one name of a class a line");
    CHECK(highest < int64_t(names.size()), path, ": names ", names.size(),
          " classes, and there is a label ", highest, " in the archives");
    return names;
  }
  std::vector<std::string> names;
  for (int64_t k = 0; k <= highest; ++k) names.push_back(std::to_string(k));
  return names;
}

}  // namespace

void read_tar(const InputFile& file, const std::function<void(const TarMember&)>& f) {
  Window window(file);
  std::string long_name;   // for the next member: of GNU or pax
  int64_t long_size = -1;  // of pax
  for (uint64_t at = 0;;) {
    auto place = [&, header_at = at] { return str(file.path(), ": at byte ", header_at); };
    CHECK(file.size() - at >= kBlock, place(),
          " the archive ends without its closing block; it was cut short, copy or make it again");
    const uint8_t* header = window.at(at, kBlock);
    if (std::all_of(header, header + kBlock, [](uint8_t c) { return c == 0; })) return;
    CHECK(checksum_fits(header), place(),
          " there is no header of a member (its checksum is wrong); this is no .tar file, or it is "
          "damaged");
    const char type = header[156] ? char(header[156]) : '0';
    const bool extension = type == 'L' || type == 'K' || type == 'x' || type == 'g';
    const std::string name = extension || long_name.empty() ? short_member_name(header) : long_name;
    CHECK(is_plain_text(name), place(),
          " a member's name is empty or contains control characters; make the archive again");
    CHECK(extension || (type >= '0' && type <= '7'), file.path(), ":", name, ": a member of type '",
          type >= 32 && type < 127 ? type : '?',
          "', which is not understood; make the archive again in the ustar, pax or GNU format");
    const bool bare =
        (type >= '1' && type <= '6') ||
        (!extension &&
         name.ends_with('/'));  // a link, a device, a folder: no content, whatever its size says
    const int64_t size = bare                           ? 0
                         : !extension && long_size >= 0 ? long_size
                                                        : number_field(header + 124, 12);
    at += kBlock;
    CHECK(size >= 0 && uint64_t(size) <= file.size() - at, file.path(), ":", name, ": claims ",
          size < 0 ? "no number of" : std::to_string(size), " bytes, and ", file.size() - at,
          " follow; the archive was cut short or is damaged, copy or make it again");
    if (extension) {
      CHECK(uint64_t(size) <= kMaxExtension, file.path(), ":", name, ": an extension of ", size,
            " bytes, expected at most ", kMaxExtension);
      const uint8_t* content = window.at(at, size_t(size));
      if (type == 'L') long_name = text_field(content, size_t(size));
      if (type == 'x')
        read_pax(content, size_t(size), file.path() + ":" + name, long_name, long_size);
    } else {
      if (!bare) f({name, at, uint64_t(size)});
      long_name.clear(), long_size = -1;
    }
    at += std::min((uint64_t(size) + kBlock - 1) / kBlock * kBlock, file.size() - at);
  }
}

std::vector<std::string> tar_files(const std::string& root, const std::string& split) {
  std::vector<std::string> files;
  auto take = [&](const std::string& folder, const std::string& prefix) {
    for (const std::string& name : names_in(folder, false))
      if (name.starts_with(prefix) && name.ends_with(".tar")) files.push_back(folder + "/" + name);
  };
  take(root, split + "-");
  if (files.empty() && split == "val") take(root, "validation-");
  if (const std::string folder = split_folder(root, split); files.empty() && !folder.empty())
    take(folder, "");
  return files;
}

TarShards::TarShards(const std::string& root, const std::string& split,
                     const std::vector<std::string>& known_classes)
    : files_(tar_files(root, split)) {
  CHECK(!files_.empty(), "data folder ", root, " holds no ", split, "-*.tar", dataset_layouts());
  const std::string folder = std::filesystem::path(files_[0]).parent_path().string();
  place_ = folder + (folder == root ? "/" + split + "-*.tar" : "/*.tar");
  std::vector<std::vector<Sample>> parts(files_.size());
  parallel_for(int64_t(files_.size()), 1, [&](int64_t s, int64_t) {
    parts[size_t(s)] = Samples(InputFile(files_[size_t(s)]), uint32_t(s)).read();
  });
  for (std::vector<Sample>& part : parts)
    std::move(part.begin(), part.end(), std::back_inserter(samples_));
  CHECK(!samples_.empty(), place_, ": hold no samples, pairs of key.jpg (.jpeg .png) and key.cls",
        dataset_layouts());
  int64_t highest = 0;
  for (const Sample& sample : samples_) highest = std::max(highest, sample.label);
  const std::vector<std::string> own = read_classes(root, folder, highest);
  classes_ = known_classes.empty() ? own : known_classes;
  labels_ = known_labels(own, classes_, place_);
}

std::vector<uint8_t> TarShards::bytes(int64_t i) const {
  const Sample& sample = samples_[size_t(i)];
  try {
    return InputFile(files_[sample.shard]).read(sample.bytes, sample.offset);
  } catch (const SystemError&) {
    throw;
  } catch (const Error& e) {
    throw Error(str(name(i), ": ", e.what()));
  }
}

Image TarShards::image(int64_t i) const {
  const std::vector<uint8_t> all = bytes(i);
  return decode_image(all.data(), all.size(), name(i));
}

std::string TarShards::name(int64_t i) const {
  return files_[samples_[size_t(i)].shard] + ":" + samples_[size_t(i)].name;
}

}  // namespace rmt::data
