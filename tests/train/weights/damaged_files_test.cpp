// 1,000 damaged copies of each kind of checkpoint and of a record file: each is refused with a
// reason, or it loads, and then to the right bytes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "core/files/files.h"
#include "data/sets/image_folder.h"
#include "data/sets/pack.h"
#include "data/sets/records.h"
#include "tests/check_op.h"
#include "tests/memory_file.h"
#include "tests/train/folder.h"
#include "tests/train/training_state.h"
#include "train/checkpoint.h"
#include "train/options.h"
#include "train/run/epoch_log.h"
#include "train/weights/pth.h"

namespace rmt::test {
using namespace data;
using namespace train;
namespace {

// Draws below a bound, for damage number `copy`.
class Draws {
 public:
  explicit Draws(uint64_t copy) : copy_(copy) {}
  size_t below(size_t bound) { return size_t(uniform_bits(copy_, count_++) % bound); }

 private:
  static uint64_t uniform_bits(uint64_t key, uint64_t counter) {  // splitmix64
    uint64_t z = (key << 20) + (counter + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  uint64_t copy_, count_ = 0;
};

// Cut short; one bit flipped (half of all); a block of zeros, as a lost page is; a block of other
// bytes; two blocks in each other's place; bytes behind it.
std::string damaged(std::string bytes, uint64_t copy) {
  Draws draw(copy);
  const size_t n = bytes.size(), block = std::min<size_t>(n / 4, size_t(1) << draw.below(10)),
               from = draw.below(n - block), to = draw.below(n - block);
  switch (copy % 10) {
    case 0: bytes.resize(draw.below(n)); break;
    case 1: std::fill_n(bytes.begin() + std::ptrdiff_t(from), block, '\0'); break;
    case 2:
      for (size_t i = 0; i < block; ++i) bytes[from + i] = char(draw.below(256));
      break;
    case 3:
      std::swap_ranges(bytes.begin() + std::ptrdiff_t(from),
                       bytes.begin() + std::ptrdiff_t(from + block),
                       bytes.begin() + std::ptrdiff_t(std::max(to, from + block) % (n - block)));
      break;
    case 4: bytes += std::string(1 + block, char(draw.below(256))); break;
    default: bytes[from] = char(bytes[from] ^ 1 << draw.below(8));
  }
  return bytes;
}

bool same(const Archive& a, const Archive& b) {
  if (a.tensors.size() != b.tensors.size()) return false;
  for (const auto& [name, x] : a.tensors) {
    auto it = b.tensors.find(name);
    if (it == b.tensors.end() || it->second.shape() != x.shape() ||
        it->second.dtype() != x.dtype() || std::memcmp(it->second.raw(), x.raw(), x.nbytes()) != 0)
      return false;
  }
  return true;
}

struct Counts {
  int refused = 0, loaded = 0;
};

// `whole` is what the undamaged file gives; none: it is refused, and so must be its copies.
Counts try_damaged(const std::string& bytes, const Archive* whole) {
  Counts counts;
  for (uint64_t copy = 0; copy < 1000; ++copy) {
    std::string changed = damaged(bytes, copy);
    for (uint64_t again = copy; changed == bytes;) changed = damaged(bytes, again += 1000);
    MemoryFile file(changed);
    try {
      const Archive a = read_weights(file.path());
      EXPECT_TRUE(whole && same(a, *whole))
          << "copy " << copy << " was taken for the file and holds something else";
      ++counts.loaded;
    } catch (const Error& e) {
      EXPECT_TRUE(std::string(e.what()).starts_with(file.path() + ": "))
          << "copy " << copy << ": " << e.what();
      ++counts.refused;
    }
  }
  return counts;
}

}  // namespace

TEST(DamagedCheckpoint, OfOursIsNoticed) {
  TemporaryFolder folder(memory_folder());
  for (bool optimizer : {true, false}) {
    const std::string path = folder / (optimizer ? "last.safetensors" : "best.safetensors");
    const Archive whole = training_state(3, optimizer);
    write_safetensors(path, whole);
    const std::string bytes = read_file(path, 64 << 20);
    ASSERT_TRUE(same(read_weights(path), whole));
    const Counts c = try_damaged(bytes, &whole);
    EXPECT_GT(c.refused, 990) << path << ": all but a change of the checksum's own name";
  }
}

TEST(DamagedCheckpoint, EveryFlippedBitOfASmallFileIsNoticed) {
  Archive a;
  a.tensors["w"] = Tensor::from<float>({1, -2, 3.5f, 0, 5, 6}, {2, 3});
  a.tensors["half"] = Tensor::full({3}, 0.5, DType::bf16);
  a.tensors["n"] = Tensor::zeros({0, 4}, DType::i64);
  a.metadata["note"] = "text";
  TemporaryFolder folder(memory_folder());
  write_safetensors(folder / "a", a);
  const std::string bytes = read_file(folder / "a", 1 << 20);
  const size_t name = bytes.find("rmt.crc32c");
  ASSERT_NE(name, std::string::npos);
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string changed = bytes;
    changed[bit / 8] = char(changed[bit / 8] ^ 1 << bit % 8);
    MemoryFile file(changed);
    try {
      const Archive read = read_safetensors(file.path());
      EXPECT_TRUE(same(read, a)) << "bit " << bit;
      EXPECT_EQ(read.metadata.at("note"), "text") << "bit " << bit;
      EXPECT_TRUE(bit / 8 >= name && bit / 8 < name + 10)
          << "bit " << bit << " was not noticed: only the checksum's own name may change";
    } catch (const Error& e) {
      EXPECT_TRUE(std::string(e.what()).starts_with(file.path() + ": ")) << e.what();
    }
  }
}

TEST(DamagedCheckpoint, ALetterThatMovesFromANameToItsNoteIsNoticed) {
  TemporaryFolder folder;
  Archive archive;
  archive.metadata["a"] = "bc";
  const std::string path = folder / "x.safetensors";
  write_safetensors(path, archive);
  std::string bytes = read_file(path, 4096);
  bytes.replace(bytes.find("\"a\":\"bc\""), 8, "\"ab\":\"c\"");
  write_file(path, bytes);
  expect_error([&] { read_safetensors(path); }, {path, "rmt.crc32c"});
}

TEST(DamagedCheckpoint, TheChecksumIsOfTheContentsAndNotOfTheirPlace) {
  Archive a;
  a.tensors["b"] = Tensor::from<float>({1, 2}, {2});
  a.tensors["a"] = Tensor::from<int64_t>({3}, {});
  a.metadata = {{"note", "no UTF-8: \xff"}};
  TemporaryFolder folder(memory_folder());
  write_safetensors(folder / "a", a);
  const Archive read = read_safetensors(folder / "a");
  EXPECT_EQ(read.metadata, (std::map<std::string, std::string>{
                               {"format", "pt"}, {"note", "no UTF-8: \xef\xbf\xbd"}}));
  // The same in another order, as another program may write it, and then with another number.
  const std::string bytes = read_file(folder / "a", 1 << 20);
  const std::string sum = bytes.substr(bytes.find("rmt.crc32c\":\"") + 13, 8);
  std::string header =
      "{\"b\":{\"data_offsets\":[0,8],\"shape\":[2],\"dtype\":\"F32\"},\"__metadata__\":{\"rmt."
      "crc32c\":\"" +
      sum +
      "\",\"note\":\"no UTF-8: "
      "\xef\xbf\xbd\",\"format\":\"pt\"},\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[8,"
      "16]}}";
  std::string moved(8, '\0');
  moved[0] = char(header.size());
  ASSERT_LT(header.size(), 256u);
  moved += header + std::string(reinterpret_cast<const char*>(a.at("b").raw()), 8) +
           std::string(reinterpret_cast<const char*>(a.at("a").raw()), 8);
  EXPECT_TRUE(same(read_safetensors(MemoryFile(moved).path()), a));
  moved.back() = 1;
  expect_error([&] { read_safetensors(MemoryFile(moved).path()); },
               {"/proc/self/fd/", "have the checksum", "says \"" + sum, "damaged"});
}

TEST(DamagedCheckpoint, NotesThatNestWithoutEndAreRefused) {
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  Archive a;
  a.path = "x.safetensors";
  a.metadata = {{"classes", "[\"cat\"," + deep + "]"}, {"progress", "{\"epoch\":" + deep + "}"}};
  expect_error([&] { description_of(a); }, {"x.safetensors: its metadata \"classes\" is not JSON"});
  Optimizer optimizer({}, {});
  expect_error([&] { load_optimizer(optimizer, a); },
               {"x.safetensors: its metadata \"progress\" is not JSON"});
  expect_error([&] { options_from_json("{\"mean\":" + deep + "}", "args.json"); },
               {"args.json: holds no options"});
  expect_error(
      [&] {
        epoch_from_line("{\"epoch\":1,\"train_loss\":" + deep + ",\"test_acc1\":1}",
                        "log.jsonl, line 1");
      },
      {"log.jsonl, line 1: is not a JSON object"});
}

TEST(DamagedCheckpoint, WholeNumbersMustBeWhole) {  // 1e300 as an integer is undefined
  expect_error(
      [] { options_from_json("{\"epochs\":1e300}", "args.json"); },
      {"args.json: holds no options of rmt-train: epochs is 1e+300, expected a whole number"});
  expect_error([] { options_from_json("{\"seed\":18446744073709558445}", "args.json"); },
               {"args.json", "seed is 1.8446744", "whole number"});
  EXPECT_EQ(options_from_json("{\"seed\":18446744073709551615,\"lr\":1}", "args.json").seed,
            ~uint64_t(0));
  Archive a;
  a.path = "x.safetensors";
  a.metadata = {{"progress", "{\"epoch\":1e300,\"best_acc1\":1,\"best_epoch\":0}"}};
  Optimizer optimizer({}, {});
  expect_error([&] { load_optimizer(optimizer, a); },
               {"x.safetensors: its metadata lacks a usable \"epoch\""});
}

TEST(DamagedCheckpoint, OfPyTorchIsNoticed) {
  for (const char* name :
       {"checkpoint", "types", "mixed", "protocol4", "deflated", "evil", "legacy", "uint16"}) {
    const std::string path = str("tests/golden/pth_", name, ".pth"),
                      bytes = read_file(path, 1 << 20);
    Archive whole;
    bool refused = false;
    try {
      whole = read_weights(path);
    } catch (const Error&) {
      refused = true;
    }
    const Counts c = try_damaged(bytes, refused ? nullptr : &whole);
    EXPECT_GT(c.refused, 100) << path;
  }
}

TEST(DamagedRecordFiles, AreNoticed) {
  TemporaryFolder folder(memory_folder());
  for (int i = 0; i < 6; ++i) {
    Image image{20 + i, 16, std::vector<uint8_t>(size_t(20 + i) * 16 * 3)};
    for (size_t k = 0; k < image.rgb.size(); ++k) image.rgb[k] = uint8_t(k * size_t(i + 1) / 7);
    std::filesystem::create_directories(folder / str("train/", i % 2 ? "dog" : "cat"));
    write_jpeg(folder / str("train/", i % 2 ? "dog/" : "cat/", i, ".jpg"), image, 90);
  }
  const ImageFolder whole(folder.path(), "train");
  pack_dataset(whole, folder / "packed", "train", {.size = 0});
  const std::string path = folder / "packed/train-00000-of-00001.rmtrec",
                    bytes = read_file(path, 1 << 20);
  int refused = 0;
  for (uint64_t copy = 0; copy < 1000; ++copy) {
    std::string changed = damaged(bytes, copy);
    for (uint64_t again = copy; changed == bytes;) changed = damaged(bytes, again += 1000);
    write_file(path, changed);
    try {
      const Records records(folder / "packed", "train");
      ASSERT_EQ(records.classes(), whole.classes()) << "copy " << copy;
      ASSERT_EQ(records.size(), whole.size()) << "copy " << copy;
      for (int64_t i = 0; i < records.size(); ++i) {
        EXPECT_EQ(records.label(i), whole.label(i)) << "copy " << copy;
        EXPECT_EQ(records.bytes(i), whole.bytes(i)) << "copy " << copy;
      }
    } catch (const Error& e) {
      EXPECT_TRUE(std::string(e.what()).starts_with(path)) << "copy " << copy << ": " << e.what();
      ++refused;
    }
  }
  EXPECT_EQ(refused, 1000) << "every byte of a record file lies under a checksum";
}

}  // namespace rmt::test
