#include "train/run/tensorboard.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "core/error.h"
#include "core/files/crc32c.h"
#include "core/files/files.h"

namespace rmt::train {
namespace {

namespace fs = std::filesystem;
const std::string kPrefix = "events.out.tfevents.";

template <class T>
std::string little_endian(T x) {
  std::string out;
  for (size_t i = 0; i < sizeof x; ++i) out += char(x >> (8 * i) & 0xFF);
  return out;
}

// --- protobuf's wire format ---
// A message is its fields one after the other. A field is a key, number << 3 | wire type, and then
//   wire type 0: a varint | 1: 8 bytes | 2: a length and so many bytes | 5: 4 bytes
// A varint has 7 bits of the number in each byte, the lowest first; the top bit says "more follow".
std::string varint(uint64_t x) {
  std::string out;
  for (; x > 0x7F; x >>= 7) out += char((x & 0x7F) | 0x80);
  return out + char(x);
}
std::string key(int number, int wire_type) {
  return varint(uint64_t(number) << 3 | uint64_t(wire_type));
}
std::string integer(int number, int64_t x) { return key(number, 0) + varint(uint64_t(x)); }
std::string bytes(int number, const std::string& x) {
  return key(number, 2) + varint(x.size()) + x;
}
std::string real64(int number, double x) {
  uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return key(number, 1) + little_endian(bits);
}
std::string real32(int number, float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return key(number, 5) + little_endian(bits);
}

// --- the messages ---
//   Event   { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }
//   Summary { repeated Value value = 1; }
//   Value   { string tag = 1; float simple_value = 2; }
std::string scalar(const std::string& tag, double x) {
  return std::isfinite(x) ? bytes(1, bytes(1, tag) + real32(2, float(x))) : "";
}

// The measure's tag: "top1/test" of a classifier.
std::string tag_of(const std::string& score, const char* weights) {
  return (score == "acc1" ? "top1" : score) + weights;
}

std::string event(const EpochLog& e) {
  std::string summary = scalar("loss/train", e.train_loss) + scalar("loss/test", e.test.loss);
  auto measure = [&](const TestResult& test, const char* weights) {
    for (const Score& s : test.scores)
      if (s.name != "acc5") summary += scalar(tag_of(s.name, weights), s.value);
  };
  measure(e.test, "/test");
  if (e.test_ema) measure(*e.test_ema, "/ema");
  summary += scalar("lr", e.train_lr) + scalar("images_per_s", e.images_per_s);
  return real64(1, double(e.time)) + integer(2, e.epoch) + bytes(5, summary);
}

// This machine's name, without characters that a file's name should not have.
std::string host_name() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  std::string out = name;
  std::erase_if(
      out, [](unsigned char c) { return !std::isalnum(c) && c != '-' && c != '_' && c != '.'; });
  return out.empty() ? "localhost" : out;
}

// The path of the folder's event file: of the first one there, else a new one.
std::string event_path(const std::string& folder) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder))
    if (const std::string name = entry.path().filename().string();
        name.starts_with(kPrefix) && !name.ends_with(".tmp"))
      found.push_back(name);
  if (found.empty())
    return folder + "/" + kPrefix + std::to_string(std::time(nullptr)) + "." + host_name();
  return folder + "/" + *std::min_element(found.begin(), found.end());
}

}  // namespace

std::string tf_record(const std::string& data) {
  auto masked = [](const std::string& s) {
    const uint32_t crc = crc32c(s.data(), s.size());
    return little_endian((crc >> 15 | crc << 17) + 0xA282EAD8u);
  };
  const std::string length = little_endian(uint64_t(data.size()));
  return length + masked(length) + data + masked(data);
}

std::string event_file(const std::vector<EpochLog>& log, int64_t created) {
  std::string out = tf_record(real64(1, double(created)) + bytes(3, "brain.Event:2"));
  for (const EpochLog& e : log) out += tf_record(event(e));
  return out;
}

void update_event_file(const std::string& folder, const std::vector<EpochLog>& log) {
  const std::string path = event_path(folder);
  const size_t time_at = folder.size() + 1 + kPrefix.size();
  const int64_t created = std::strtoll(path.c_str() + time_at, nullptr, 10);
  const std::string all = event_file(log, created),
                    old = fs::exists(path) ? read_file(path, size_t(64) << 20) : "";
  if (old == all) return;
  if (!old.empty() && all.starts_with(old))
    append(path, all.substr(old.size()));
  else
    write_file(path, all);
}

}  // namespace rmt::train
