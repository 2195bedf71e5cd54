// A record file of any bytes, the only shard of its pack. Its checksums are made right first, so
// that what they guard is reached.
#include <filesystem>

#include "core/files/crc32c.h"
#include "data/sets/records.h"
#include "tests/fuzz/fuzz.h"

using namespace rmt;
using namespace rmt::data;

namespace {

void put(std::vector<uint8_t>& bytes, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) bytes[at + i] = uint8_t(value >> (8 * i));
}
uint64_t take(const std::vector<uint8_t>& bytes, size_t at, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value |= uint64_t(bytes[at + i]) << (8 * i);
  return value;
}

void mend(std::vector<uint8_t>& bytes) {
  if (bytes.size() < kRecordHeaderBytes) return;
  const uint64_t index = take(bytes, 40, 8), classes = take(bytes, 48, 4);
  if (classes <= bytes.size() - kRecordHeaderBytes)
    put(bytes, 64, crc32c(bytes.data() + kRecordHeaderBytes, classes));
  if (index <= bytes.size()) put(bytes, 68, crc32c(bytes.data() + index, bytes.size() - index));
  put(bytes, 72, crc32c(bytes.data(), 72));
}

}  // namespace

FUZZ(records) {
  std::vector<uint8_t> bytes(data, data + size);
  mend(bytes);
  test::MemoryFile file(bytes.data(), bytes.size());
  const std::string folder =
      (std::filesystem::temp_directory_path() / ("rmt-fuzz-" + std::to_string(::getpid())))
          .string();
  const std::string name = folder + "/train-00000-of-00001.rmtrec";
  std::filesystem::create_directory(folder);
  std::filesystem::remove(name);
  std::filesystem::create_symlink(file.path(), name);
  fuzz::result_or_error(folder, [&] {
    Records records(folder, "train");
    for (int64_t i = 0; i < records.size() && i < 4; ++i)
      fuzz::result_or_error(records.name(i), [&] { records.image(i); });
  });
  std::filesystem::remove_all(folder);
}
