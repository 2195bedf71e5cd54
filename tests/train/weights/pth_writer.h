// Files as torch.save writes them, and such as it never would: pickles and zip files piece by
// piece.
#pragma once
#include <cstring>
#include <string>
#include <vector>

#include "core/files/crc32.h"
#include "train/weights/safetensors.h"

namespace rmt::test {
using namespace train;

template <class T>
std::string raw(T value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

struct ZipEntry {
  std::string name, bytes;
  uint16_t method = 0;
};

// A zip file of stored entries. zip64: the central directory leaves all numbers to the ZIP64
// records, as it must beyond 4 GiB.
inline std::string zip_of(const std::vector<ZipEntry>& entries, bool zip64 = false) {
  std::string out, directory;
  for (const ZipEntry& e : entries) {
    const uint32_t size = uint32_t(e.bytes.size()), none = 0xffffffff;
    const std::string common = raw<uint16_t>(0) + raw(e.method) + raw<uint32_t>(0) +
                               raw(crc32(e.bytes.data(), e.bytes.size()));
    const std::string extra = raw<uint16_t>(1) + raw<uint16_t>(24) + raw<uint64_t>(size) +
                              raw<uint64_t>(size) + raw<uint64_t>(out.size());
    directory += "PK\1\2" + raw<uint32_t>(0).substr(0, 2) + raw<uint16_t>(0) + common +
                 raw(zip64 ? none : size) + raw(zip64 ? none : size) +
                 raw(uint16_t(e.name.size())) + raw(uint16_t(zip64 ? extra.size() : 0)) +
                 std::string(10, '\0') + raw(zip64 ? none : uint32_t(out.size())) + e.name +
                 (zip64 ? extra : "");
    out += "PK\3\4" + raw<uint16_t>(0) + common + raw(size) + raw(size) +
           raw(uint16_t(e.name.size())) + raw<uint16_t>(3) + e.name + "pad" + e.bytes;
  }
  const uint64_t begin = out.size(), n = entries.size();
  out += directory;
  if (zip64) {
    const uint64_t place = out.size();
    out += "PK\6\6" + raw<uint64_t>(44) + std::string(12, '\0') + raw(n) + raw(n) +
           raw<uint64_t>(directory.size()) + raw(begin);
    out += "PK\6\7" + raw<uint32_t>(0) + raw(place) + raw<uint32_t>(1);
  }
  const uint16_t count = zip64 ? 0xffff : uint16_t(n);
  return out + "PK\5\6" + raw<uint32_t>(0) + raw(count) + raw(count) +
         raw(zip64 ? 0xffffffff : uint32_t(directory.size())) +
         raw(zip64 ? 0xffffffff : uint32_t(begin)) + raw<uint16_t>(0);
}

// Pieces of a pickle of protocol 2: each leaves one value on the stack.
inline std::string text(const std::string& s) {
  return std::string("X").append(raw(uint32_t(s.size()))).append(s);
}
inline std::string integer(int64_t n) { return "\x8a\x08" + raw(n); }
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const std::string& item : items) out += item;
  return out + "t";
}
inline std::string numbers(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (int64_t n : values) items.push_back(integer(n));
  return tuple(items);
}
inline std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string out = "}(";
  for (const auto& [key, value] : items) out += text(key) + value;
  return out + "u";
}
inline std::string pickle(const std::string& value) { return "\x80\x02" + value + "."; }

// torch._utils._rebuild_tensor_v2 of a view of the storage `key`.
struct TensorRecord {
  std::string type = "FloatStorage", key = "0";
  int64_t elements = 0, offset = 0;
  std::vector<int64_t> sizes, strides;
  std::string str() const {
    return global("torch._utils", "_rebuild_tensor_v2") +
           tuple({tuple({text("storage"), global("torch", type), text(key), text("cpu"),
                         integer(elements)}) +
                      "Q",
                  integer(offset), numbers(sizes), numbers(strides), "\x89",
                  global("collections", "OrderedDict") + ")R"}) +
           "R";
  }
};

// The archive's f32 and i64 tensors as a checkpoint {"model": {...}}.
inline std::string pth_of(const Archive& archive) {
  std::vector<ZipEntry> entries{{"archive/data.pkl", ""}};
  std::vector<std::pair<std::string, std::string>> items;
  for (const auto& [name, x] : archive.tensors) {
    TensorRecord t{x.dtype() == DType::i64 ? "LongStorage" : "FloatStorage",
                   std::to_string(items.size()),
                   x.numel(),
                   0,
                   {x.shape().begin(), x.shape().end()},
                   {}};
    int64_t stride = 1;
    for (int i = x.rank() - 1; i >= 0; stride *= x.dim(i--))
      t.strides.insert(t.strides.begin(), stride);
    items.push_back({name, t.str()});
    entries.push_back(
        {"archive/data/" + t.key, std::string(static_cast<const char*>(x.raw()), x.nbytes())});
  }
  entries[0].bytes = pickle(dict({{"epoch", integer(1)}, {"model", dict(items)}}));
  return zip_of(entries);
}

}  // namespace rmt::test
