// A .tar archive of any bytes, read as WebDataset's shard. The checksum of every block is made
// right first, as if each were a header.
#include <cstdio>
#include <filesystem>

#include "data/sets/tar.h"
#include "tests/fuzz/fuzz.h"

using namespace rmt;
using namespace rmt::data;

FUZZ(tar) {
  std::vector<uint8_t> bytes(data, data + size);
  for (size_t at = 0; at + 512 <= bytes.size(); at += 512) {
    uint8_t* block = bytes.data() + at;
    unsigned sum = 8 * ' ';
    bool zero = true;
    for (size_t i = 0; i < 512; ++i)
      zero &= block[i] == 0, sum += i < 148 || i >= 156 ? block[i] : 0;
    if (!zero) std::snprintf(reinterpret_cast<char*>(block + 148), 8, "%06o", sum);
  }
  test::MemoryFile file(bytes.data(), bytes.size());
  const std::string folder =
      (std::filesystem::temp_directory_path() / ("rmt-fuzz-" + std::to_string(::getpid())))
          .string();
  std::filesystem::create_directory(folder);
  std::filesystem::remove(folder + "/train-0.tar");
  std::filesystem::create_symlink(file.path(), folder + "/train-0.tar");
  fuzz::result_or_error(folder, [&] {
    TarShards shards(folder, "train");
    for (int64_t i = 0; i < shards.size() && i < 4; ++i)
      fuzz::result_or_error(shards.name(i), [&] { shards.image(i); });
  });
  std::filesystem::remove_all(folder);
}
