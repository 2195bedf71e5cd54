// A .tar archive of any bytes, read as WebDataset's shard. The checksum of every block is made
// right first, as if each were a header.
#include <cstdio>
#include "data/sets/tar.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"

using namespace rmt;
using namespace rmt::data;

namespace {

// The checksum of every block, as if each were a header.
std::string mended(std::string bytes) {
  for (size_t at = 0; at + 512 <= bytes.size(); at += 512) {
    unsigned sum = 8 * ' ';
    bool zero = true;
    for (size_t i = 0; i < 512; ++i) {
      const auto byte = uint8_t(bytes[at + i]);
      zero &= byte == 0;
      sum += i < 148 || i >= 156 ? byte : 0;
    }
    if (!zero) std::snprintf(&bytes[at + 148], 8, "%06o", sum);
  }
  return bytes;
}

size_t whole(size_t size) { return (size + 511) / 512 * 512; }

size_t size_in(const std::string& header) {
  return header.size() < 136 ? 0 : std::strtoull(header.substr(124, 12).c_str(), nullptr, 8);
}

// Each header with its content.
fuzz::Parts split(const std::string& bytes) {
  fuzz::Parts parts;
  for (size_t at = 0; at < bytes.size();) {
    const size_t size = std::min(size_in(bytes.substr(at, 512)), bytes.size());
    parts.push_back(bytes.substr(at, 512 + size));
    at += 512 + whole(size);
  }
  return parts;
}

// A content of another number of blocks than its header says gives the header its size.
std::string join(const fuzz::Parts& parts) {
  std::string out;
  for (std::string part : parts) {
    const size_t content = part.size() - std::min<size_t>(part.size(), 512);
    if (content > 0 && whole(size_in(part)) != whole(content))
      std::snprintf(&part[124], 12, "%011o", unsigned(content));
    part.resize(whole(part.size()));
    out += part;
  }
  return mended(out);
}

}  // namespace

FORMAT(tar, split, join)

FUZZ(tar) {
  const std::string bytes = mended({data, data + size});
  static const fuzz::Folder files("train-0.tar");
  const std::string& folder = files.with(bytes);
  fuzz::result_or_error(folder, [&] {
    TarShards shards(folder, "train");
    for (int64_t i = 0; i < shards.size() && i < 4; ++i)
      fuzz::result_or_error(shards.name(i), [&] { shards.image(i); });
  });
}
