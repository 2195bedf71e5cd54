#include "data/sets/listed_files.h"

#include <charconv>
#include <utility>

#include "core/error.h"
#include "core/files/files.h"
#include "core/parallel.h"

namespace rmt::data {
namespace {

// A list is texts, each with a zero byte behind it, which no file's name holds:
//
//   place, number of classes, their names, number of images, name, label and checksum of each
struct Texts {
  const std::string& list;
  size_t at = 0;

  std::string text() {
    const size_t end = list.find('\0', at);
    CHECK(end != std::string::npos, "list of files: ends too early");
    const size_t begin = std::exchange(at, end + 1);
    return list.substr(begin, end - begin);
  }
  uint64_t number() {
    const std::string digits = text();
    uint64_t n = 0;
    const char* end = digits.data() + digits.size();
    const auto [stopped, error] = std::from_chars(digits.data(), end, n);
    CHECK(error == std::errc() && stopped == end, "list of files: \"", printable(digits),
          "\" is no number");
    return n;
  }
  // How many things follow, of `texts` texts each.
  size_t count(size_t texts) {
    const uint64_t n = number();
    CHECK(n <= (list.size() - at) / texts, "list of files: ends too early");
    return size_t(n);
  }
};

void put(std::string& list, const std::string& text) {
  list += text;
  list += '\0';
}

}  // namespace

ListedFiles::ListedFiles(const std::string& list, const Leftovers& leftovers)
    : leftovers_(leftovers) {
  Texts in{list};
  place_ = in.text();
  classes_.resize(in.count(1));
  for (std::string& name : classes_) name = in.text();
  files_.resize(in.count(3));
  for (File& f : files_) {
    f.name = in.text();
    const uint64_t label = in.number();
    CHECK(label < classes_.size(), "list of files: ", printable(f.name), " has the label ", label,
          ", and there are ", classes_.size(), " classes");
    f.label = int64_t(label);
    f.checksum = in.number();
  }
  CHECK(in.at == list.size(), "list of files: goes on behind its end");
}

std::vector<uint8_t> ListedFiles::bytes(int64_t i) const {
  return read_bytes(name(i), kMaxImageFile);
}

std::string list_files(const Dataset& data) {
  CHECK(data.is_files(), data.place(), ": its images are no files of their own");
  const size_t prefix = data.place().size() + 1;
  std::vector<uint64_t> sums(size_t(data.size()));  // each asks the system for a file's size
  parallel_for(data.size(), 256, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sums[size_t(i)] = data.checksum(i);
  });
  std::string list;
  put(list, data.place());
  put(list, std::to_string(data.classes().size()));
  for (const std::string& name : data.classes()) put(list, name);
  put(list, std::to_string(data.size()));
  for (int64_t i = 0; i < data.size(); ++i) {
    put(list, data.name(i).substr(prefix));
    put(list, std::to_string(data.label(i)));
    put(list, std::to_string(sums[size_t(i)]));
  }
  return list;
}

}  // namespace rmt::data
