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

std::string whole_blocks(std::string bytes) {
  bytes.resize((bytes.size() + 511) / 512 * 512);
  return bytes;
}

// Header, content, header, content, ...
fuzz::Parts split(const std::string& bytes) {
  fuzz::Parts parts;
  for (size_t at = 0; at < bytes.size();) {
    parts.push_back(bytes.substr(at, 512));
    at += 512;
    const size_t size = std::min<size_t>(
        std::strtoull(parts.back().substr(std::min<size_t>(124, parts.back().size()), 12).c_str(),
                      nullptr, 8),
        bytes.size() - std::min(at, bytes.size()));
    if (size > 0) parts.push_back(bytes.substr(at, (size + 511) / 512 * 512));
    at += (size + 511) / 512 * 512;
  }
  return parts;
}

std::string join(const fuzz::Parts& parts) {
  std::string out;
  for (const std::string& part : parts) out += whole_blocks(part);
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
