// A .pth file of any bytes. Its parts are the entries of the zip file.
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"
#include "tests/train/weights/pth_writer.h"
#include "train/weights/pth.h"

using namespace rmt;
using namespace rmt::train;

namespace {

// Bytes of the name, name and content of each entry, as their own headers give them.
fuzz::Parts split(const std::string& bytes) {
  fuzz::Parts parts;
  for (size_t at = 0; at + 30 <= bytes.size() && bytes.compare(at, 4, "PK\3\4") == 0;) {
    const size_t name = fuzz::number_at(bytes, at + 26, 2),
                 extra = fuzz::number_at(bytes, at + 28, 2),
                 content = fuzz::number_at(bytes, at + 18, 4), begin = at + 30 + name + extra;
    if (begin > bytes.size() || content > bytes.size() - begin) break;
    parts.push_back(fuzz::number(name, 2) + bytes.substr(at + 30, name) +
                    bytes.substr(begin, content));
    at = begin + content;
  }
  return parts;
}

std::string join(const fuzz::Parts& parts) {
  std::vector<test::ZipEntry> entries;
  for (const std::string& part : parts) {
    if (part.size() < 2) continue;
    const size_t name = std::min<size_t>(fuzz::number_at(part, 0, 2), part.size() - 2);
    entries.push_back({part.substr(2, name), part.substr(2 + name)});
  }
  return test::zip_of(entries);
}

}  // namespace

FORMAT(pth, split, join)

FUZZ(pth) {
  fuzz::MemoryFile file(data, size);
  fuzz::result_or_error(file.path(), [&] { read_weights(file.path()); });
}
