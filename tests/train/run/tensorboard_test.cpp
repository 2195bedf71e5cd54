// The event file is parsed by a reader of the test's own: framing, checksums, protobuf fields.
#include "train/run/tensorboard.h"
#include "tests/train/run/accuracy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "core/files/crc32c.h"
#include "core/files/files.h"
#include "tests/check_op.h"
#include "tests/train/folder.h"

namespace rmt::test {
using namespace train;
namespace {

struct Event {
  double wall_time = 0;
  int64_t step = 0;
  std::string version;
  std::map<std::string, float> scalars;
};

template <class T>
T take(std::string& in) {
  CHECK(in.size() >= sizeof(T), "ends in the middle of a number");
  T x;
  std::memcpy(&x, in.data(), sizeof x);
  in.erase(0, sizeof x);
  return x;
}
std::string take_bytes(std::string& in, uint64_t n) {
  CHECK(in.size() >= n, "ends in the middle of a string");
  std::string out = in.substr(0, n);
  in.erase(0, n);
  return out;
}
uint64_t take_varint(std::string& in) {
  uint64_t x = 0;
  for (int shift = 0;; shift += 7) {
    auto byte = take<uint8_t>(in);
    x |= uint64_t(byte & 0x7F) << shift;
    if (byte < 0x80) return x;
  }
}

std::pair<std::string, float> value(std::string in) {
  std::pair<std::string, float> out;
  while (!in.empty()) {
    const uint64_t key = take_varint(in);
    if (key == (1 << 3 | 2))
      out.first = take_bytes(in, take_varint(in));
    else if (key == (2 << 3 | 5))
      out.second = take<float>(in);
    else
      throw Error(str("Value has a key ", key));
  }
  return out;
}

Event event(std::string in) {
  Event e;
  while (!in.empty()) {
    const uint64_t key = take_varint(in);
    if (key == (1 << 3 | 1)) {
      e.wall_time = take<double>(in);
    } else if (key == (2 << 3 | 0)) {
      e.step = int64_t(take_varint(in));
    } else if (key == (3 << 3 | 2)) {
      e.version = take_bytes(in, take_varint(in));
    } else if (key == (5 << 3 | 2)) {
      for (std::string summary = take_bytes(in, take_varint(in)); !summary.empty();) {
        CHECK(take_varint(summary) == (1 << 3 | 2), "Summary holds something else than values");
        EXPECT_TRUE(e.scalars.insert(value(take_bytes(summary, take_varint(summary)))).second)
            << "a tag twice";
      }
    } else {
      throw Error(str("Event has a key ", key));
    }
  }
  return e;
}

std::vector<Event> events(std::string in) {
  auto checked = [](const std::string& data, uint32_t crc) {
    const uint32_t rotated = crc - 0xA282EAD8u, plain = rotated << 15 | rotated >> 17;
    CHECK(plain == crc32c(data.data(), data.size()), "wrong checksum");
  };
  std::vector<Event> out;
  while (!in.empty()) {
    const std::string length = take_bytes(in, 8);
    checked(length, take<uint32_t>(in));
    uint64_t n;
    std::memcpy(&n, length.data(), 8);
    const std::string data = take_bytes(in, n);
    checked(data, take<uint32_t>(in));
    out.push_back(event(data));
  }
  return out;
}

std::vector<EpochLog> some_epochs(int64_t n) {
  std::vector<EpochLog> log;
  for (int64_t e = 0; e < n; ++e)
    log.push_back({.epoch = e,
                   .train_loss = 7 - double(e),
                   .train_lr = 1e-3,
                   .test = accuracy(10. * double(e), 6.5),
                   .test_ema = e > 0 ? std::optional(accuracy(double(e))) : std::nullopt,
                   .images_per_s = 1234,
                   .time = 1763700000 + 100 * e});
  return log;
}

std::string only_file(const TemporaryFolder& folder) {
  EXPECT_EQ(folder.names().size(), 1u);
  return folder / folder.names()[0];
}

}  // namespace

// A record as RecordWriter of TensorBoard 2.21 frames it.
TEST(TensorBoard, RecordIsFramedAsTensorFlowDoes) {
  const unsigned char want[] = {0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xB0, 0x99,
                                0x49, 0x0E, 0x61, 0x62, 0x63, 0x6E, 0x57, 0xF1, 0x21};
  EXPECT_EQ(tf_record("abc"), std::string(reinterpret_cast<const char*>(want), sizeof want));
}

TEST(TensorBoard, EventsAreReadBack) {
  std::vector<EpochLog> log = some_epochs(200);  // steps beyond 127 take two bytes
  log[1].test.loss = std::nan("");
  const std::vector<Event> got = events(event_file(log, 1763600000));
  ASSERT_EQ(got.size(), 201u);
  EXPECT_EQ(got[0].version, "brain.Event:2");
  EXPECT_EQ(got[0].wall_time, 1763600000);
  for (size_t e = 0; e < log.size(); ++e) {
    EXPECT_EQ(got[e + 1].step, int64_t(e));
    EXPECT_EQ(got[e + 1].wall_time, double(log[e].time));
  }
  using Scalars = std::map<std::string, float>;
  EXPECT_EQ(got[1].scalars, (Scalars{{"loss/train", 7.f},
                                     {"loss/test", 6.5f},
                                     {"top1/test", 0.f},
                                     {"lr", 1e-3f},
                                     {"images_per_s", 1234.f}}));
  EXPECT_EQ(got[2].scalars, (Scalars{{"loss/train", 6.f},
                                     {"top1/test", 10.f},
                                     {"top1/ema", 1.f},
                                     {"lr", 1e-3f},
                                     {"images_per_s", 1234.f}}));
}

TEST(TensorBoard, AFileThatGrowsIsAppendedToAndAnyOtherIsReplaced) {
  TemporaryFolder folder;
  update_event_file(folder.path(), some_epochs(2));
  const std::string path = only_file(folder);
  EXPECT_EQ(path.find(folder / "events.out.tfevents.1"), 0u) << path;
  auto inode = [&] { return std::filesystem::hard_link_count(path); };
  std::filesystem::create_hard_link(
      path,
      folder.path() + ".link");  // an appended file keeps its second name, a replaced one loses it
  update_event_file(folder.path(), some_epochs(3));
  EXPECT_EQ(inode(), 2u);
  EXPECT_EQ(events(read_file(path, 1 << 20)).size(), 4u);

  // Killed in the middle of an append, at any byte.
  const std::string three = read_file(path, 1 << 20);
  for (size_t cut = 0; cut <= three.size(); cut += 7) {
    std::filesystem::resize_file(path, cut);
    update_event_file(folder.path(), some_epochs(4));
    ASSERT_EQ(events(read_file(path, 1 << 20)).size(), 5u) << cut;
    if (cut == 0)
      std::filesystem::remove(folder.path() + ".link"),
          std::filesystem::create_hard_link(path, folder.path() + ".link");
  }
  EXPECT_EQ(inode(), 2u) << "what was there was kept";

  // A run that takes two epochs back, and one of them comes out otherwise.
  std::vector<EpochLog> log = some_epochs(3);
  log[2].train_loss = 99;
  update_event_file(folder.path(), log);
  EXPECT_EQ(inode(), 1u);
  EXPECT_EQ(only_file(folder), path);
  const std::vector<Event> got = events(read_file(path, 1 << 20));
  ASSERT_EQ(got.size(), 4u);
  EXPECT_EQ(got[3].scalars.at("loss/train"), 99.f);

  write_file(path, "something else");
  update_event_file(folder.path(), log);
  EXPECT_EQ(events(read_file(path, 1 << 20)).size(), 4u);
  std::filesystem::remove(folder.path() + ".link");
}

}  // namespace rmt::test
