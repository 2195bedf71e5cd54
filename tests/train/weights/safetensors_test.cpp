#include "train/weights/safetensors.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/files/files.h"
#include "tests/check_op.h"
#include "tests/train/folder.h"

namespace rmt::test {
using namespace train;
namespace {

std::string file_of(const std::string& header, size_t data_bytes) {
  uint64_t n = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &n, 8);
  return bytes + header + std::string(data_bytes, '\1');
}

void put(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

Archive small_archive() {
  Archive a;
  a.tensors["w"] = Tensor::from<float>({1, -2, 3.5f, 0, 5, 6}, {2, 3});
  a.tensors["scalar"] = Tensor::full({}, -1.25, DType::f64);
  a.tensors["none"] = Tensor::empty({0, 4});
  a.tensors["half"] = Tensor::full({3}, 0.5, DType::bf16);
  a.tensors["count"] = Tensor::full({}, 7, DType::i64);
  a.tensors["index"] = Tensor::from<int32_t>({-1, 2}, {2});
  a.tensors["bytes"] = Tensor::from<uint8_t>({1, 2, 255}, {3});
  a.metadata = {{"note", "a \"quoted\" text, \xc3\xa4 and\nlines"}};
  return a;
}

}  // namespace

TEST(Safetensors, RoundTrip) {
  TemporaryFolder folder;
  std::string path = folder / "a.safetensors";
  Archive a = small_archive();
  write_safetensors(path, a);
  Archive b = read_safetensors(path);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (auto& [name, x] : a.tensors) {
    const Tensor& y = b.at(name);
    EXPECT_EQ(x.shape(), y.shape()) << name;
    ASSERT_EQ(x.dtype(), y.dtype()) << name;
    EXPECT_EQ(std::memcmp(x.raw(), y.raw(), x.nbytes()), 0) << name;
  }
  EXPECT_EQ(b.metadata.at("note"), a.metadata.at("note"));
  EXPECT_EQ(b.metadata.at("format"), "pt");
  expect_error([&] { b.at("missing"); }, {path, "\"missing\""});
}

TEST(Safetensors, WriterOrdersByDtypeThenNameAndPadsTheHeader) {
  TemporaryFolder folder;
  write_safetensors(folder / "a", small_archive());
  std::string bytes = read_file(folder / "a", 1 << 20);
  uint64_t n;
  std::memcpy(&n, bytes.data(), 8);
  EXPECT_EQ(n % 8, 0u);
  std::string header = bytes.substr(8, n);
  size_t last = 0;
  for (const char* name : {"\"__metadata__\"", "\"count\"", "\"scalar\"", "\"none\"", "\"w\"",
                           "\"index\"", "\"half\"", "\"bytes\""}) {
    size_t place = header.find(name, last);
    ASSERT_NE(place, std::string::npos) << name << " is not in its place in " << header;
    last = place;
  }
}

namespace {

// The fields of a tensor of two numbers.
const std::string f32 = "\"dtype\":\"F32\",", shape = "\"shape\":[2],",
                  at = "\"data_offsets\":[0,8]";

// A file with one tensor of these fields.
std::string one(const std::string& fields, size_t data = 8) {
  return file_of("{\"a\":{" + fields + "}}", data);
}

struct Case {
  std::string bytes, reason;
};

void expect_refused(const std::vector<Case>& cases) {
  TemporaryFolder folder;
  const std::string path = folder / "bad.safetensors";
  for (const Case& c : cases) {
    put(path, c.bytes);
    SCOPED_TRACE(c.bytes.substr(0, 120));
    expect_error([&] { read_safetensors(path); }, {path, c.reason});
  }
}

}  // namespace

TEST(Safetensors, RefusesWhatIsNotExactlyAnArchive) {
  std::string deep = "{\"a\":";
  for (int i = 0; i < 100000; ++i) deep += "[";
  const uint64_t huge = uint64_t(1) << 63;
  std::string overflow(16, '\0');
  std::memcpy(overflow.data(), &huge, 8);
  expect_refused({
      {"", "0 bytes"},
      {"1234567", "7 bytes"},
      {overflow, "header of 9223372036854775808"},
      {file_of("{}", 0).replace(0, 2, "\x05\0", 2), "header of 5 bytes and has 2"},
      {file_of("", 4), "does not begin with {"},
      {file_of(" {}", 0), "does not begin with {"},
      {file_of("[]", 0), "does not begin with {"},
      {file_of("{}\n", 0), "does not end with }"},
      {file_of("{} x", 0), "does not end with }"},
      {file_of("{}{}", 0), "not JSON"},
      {file_of(std::string("{}\0}", 4), 0), "zero byte"},
      {file_of("{\"a\xff\":{}}", 0), "not JSON in UTF-8"},
      {file_of("{\"a\":}", 0), "not JSON"},
      {file_of("{\"a\":1}", 0), "a number"},
      {file_of("{\"a\":null}", 0), "null"},
      {file_of(deep, 0), "does not end with }"},
      {file_of(deep + "}", 0), "has a list"},
      {file_of("{\"a\":{\"b\":{}}}", 0), "unknown field"},
      {file_of("{\"__metadata__\":{\"a\":{}}}", 0), "nests an object"},
      {file_of("{\"__metadata__\":{\"a\":1}}", 0), "a number"},
      {file_of("{\"__metadata__\":{\"a\":true}}", 0), "truth value"},
      {file_of("{\"__metadata__\":{\"a\":[\"x\"]}}", 0), "a list"},
      {file_of("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0), "twice"},
      {file_of("{\"__metadata__\":{},\"__metadata__\":{}}", 0), "twice"},
      {file_of("{\"a\":{" + f32 + shape + at + "},\"a\":{" + f32 + shape + at + "}}", 8), "twice"},
  });
  TemporaryFolder folder;
  expect_error([&] { read_safetensors(folder / "absent"); }, {"absent", "No such file"});
  expect_error([&] { read_safetensors(folder.path()); }, {"not a regular file"});
}

TEST(Safetensors, RefusesTensorsThatAreNotExactlyThere) {
  const std::string many =
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}";
  expect_refused({
      {one(f32 + f32 + shape + at), "two fields"},
      {one(f32 + shape + at + ",\"more\":1"), "unknown field"},
      {one(f32 + shape + "\"data_offsets\":[0]"), "not two numbers"},
      {one(f32 + shape + "\"data_offsets\":[0,4,8]"), "not two numbers"},
      {one(f32 + "\"shape\":[2]"), "lacks one of"},
      {one(f32 + "\"shape\":2," + at), "a number"},
      {one(f32 + "\"shape\":[[2]]," + at), "a list"},
      {one(f32 + "\"shape\":[\"2\"]," + at), "text"},
      {one(f32 + "\"shape\":[-2]," + at), "negative"},
      {one(f32 + "\"shape\":[2.0]," + at), "not a plain integer"},
      {one(f32 + "\"shape\":[2e0]," + at), "not a plain integer"},
      {one(f32 + "\"shape\":[9007199254740993]," + at), "above 2^53"},
      {one(f32 + "\"shape\":[99999999999999999999999]," + at), "not a plain integer"},
      {one(f32 + "\"shape\":[4294967296,4294967296]," + at), "overflows"},
      {one(f32 + "\"shape\":[4294967296,4294967296,0],\"data_offsets\":[0,0]", 0), "overflows"},
      {one(f32 + "\"shape\":[0,4294967296,4294967296],\"data_offsets\":[0,0]", 0), "overflows"},
      {one(f32 + "\"shape\":[3]," + at), "needs 12 bytes"},
      {one(f32 + shape + "\"data_offsets\":[8,0]"), "begins at 8"},
      {one(f32 + shape + "\"data_offsets\":[4,12]", 12), "begins at 4"},
      {one(f32 + shape + at, 7), "has 69 bytes, its header describes 70"},
      {one(f32 + shape + at, 9), "has 71 bytes, its header describes 70"},
      {file_of("{\"a\":{" + f32 + shape + at + "},\"b\":{" + f32 + shape + at + "}}", 8),
       "the one before it ends at 8"},
      {file_of(
           "{\"a\":{" + f32 + shape + at + "},\"b\":{" + f32 + shape + "\"data_offsets\":[12,20]}}",
           20),
       "the one before it ends at 8"},
      {one("\"dtype\":\"F16\"," + shape + at), "tensor \"a\" has dtype \"F16\""},
      {one("\"dtype\":4," + shape + at), "a number"},
      {file_of(many, 8), "more than 8 numbers"},
      {file_of("{\"" + std::string(1025, 'n') + "\":{" + f32 + shape + at + "}}", 8), "1025 bytes"},
  });
}

TEST(Safetensors, AcceptsTheLegalCorners) {
  TemporaryFolder folder;
  put(folder / "a", file_of("{}", 0));
  EXPECT_TRUE(read_safetensors(folder / "a").tensors.empty());
  // Unaligned data, spaces at the end, escaped names, tensors out of order, an empty one between.
  put(folder / "b", file_of("{ \"b\\u00e4\" : "
                            "{\"shape\":[1],\"data_offsets\":[1,5],\"dtype\":\"F32\"},\"z\":{"
                            "\"dtype\":\"F64\",\"shape\":[3,0],\"data_offsets\":[1,1]},"
                            "\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}   ",
                            5));
  Archive b = read_safetensors(folder / "b");
  EXPECT_EQ(b.tensors.size(), 3u);
  uint32_t ones = 0x01010101;
  EXPECT_EQ(std::memcmp(b.at("b\xc3\xa4").raw(), &ones, 4), 0);
  EXPECT_EQ(b.at("z").shape(), (Shape{3, 0}));
  EXPECT_EQ(b.at("a").item<uint8_t>(), 1);
}

TEST(Safetensors, NoPrefixOfAFileIsTakenForIt) {
  TemporaryFolder folder(memory_folder());
  write_safetensors(folder / "a", small_archive());
  std::string bytes = read_file(folder / "a", 1 << 20), path = folder / "cut";
  for (size_t n = 0; n < bytes.size(); ++n) {
    put(path, bytes.substr(0, n));
    EXPECT_THROW(read_safetensors(path), Error)
        << "cut to " << n << " of " << bytes.size() << " bytes";
  }
}

TEST(Safetensors, FlippedBitsInTheHeaderAreRefusedOrHarmless) {
  TemporaryFolder folder(memory_folder());
  Archive a = small_archive();
  write_safetensors(folder / "a", a);
  std::string bytes = read_file(folder / "a", 1 << 20), path = folder / "flipped";
  uint64_t n;
  std::memcpy(&n, bytes.data(), 8);
  int refused = 0, accepted = 0;
  for (size_t bit = 0; bit < 8 * (8 + n); ++bit) {
    std::string changed = bytes;
    changed[bit / 8] = char(changed[bit / 8] ^ (1 << (bit % 8)));
    put(path, changed);
    try {  // what is accepted (another name, another note) still describes the file exactly
      size_t total = 0;
      for (auto& [name, x] : read_safetensors(path).tensors) total += x.nbytes();
      EXPECT_EQ(total, bytes.size() - 8 - n) << "bit " << bit;
      ++accepted;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(path), std::string::npos) << e.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, accepted);
}

TEST(WriteFile, FullDiskKeepsThePreviousFile) {
  TemporaryFolder folder;
  std::string path = folder / "last.safetensors";
  Archive old = small_archive(), big;
  write_safetensors(path, old);
  std::string before = read_file(path, 1 << 20);
  big.tensors["big"] = Tensor::zeros({1 << 18});
  {
    FileSizeLimit limit(64 << 10);
    expect_error([&] { write_safetensors(path, big); }, {path, "File too large", "make room"});
    write_file(folder / "small", "what fits is written");
  }
  EXPECT_EQ(read_file(path, 1 << 20), before);
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"last.safetensors", "small"}))
      << "the temporary was left behind";
  write_safetensors(path, big);
  EXPECT_EQ(read_safetensors(path).at("big").numel(), 1 << 18);
}

TEST(WriteFile, RefusesWhatItCannotReplace) {
  TemporaryFolder folder;
  expect_error([&] { write_file(folder / "absent" + "/a", "x"); }, {"absent/a", "No such file"});
  expect_error([&] { write_file(folder.path(), "x"); }, {folder.path(), "not a regular file"});
  expect_error([&] { write_file("/dev/null", "x"); }, {"/dev/null", "not a regular file"});
}

TEST(AppendLine, TakesBackALineThatDoesNotFit) {
  TemporaryFolder folder;
  std::string path = folder / "log.jsonl";
  append_line(path, "one");
  {
    FileSizeLimit limit(16);
    expect_error([&] { append_line(path, std::string(100, 'x')); }, {path, "File too large"});
  }
  append_line(path, "two");
  EXPECT_EQ(read_file(path, 100), "one\ntwo\n");
}

}  // namespace rmt::test
