#include "train/weights/safetensors.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <vector>

#include "core/files/crc32c.h"
#include "core/files/files.h"

namespace rmt::train {
namespace {

static_assert(std::endian::native == std::endian::little,
              "safetensors holds little-endian numbers");
using json = nlohmann::json;

constexpr uint64_t kMaxHeader = 100'000'000;  // bytes; the format's own cap
// Caps of ours.
constexpr uint64_t kMaxTensors = 100'000, kMaxNotes = 10'000, kMaxName = 1024,
                   kMaxNumber = uint64_t(1) << 53;

struct Format {
  const char* name;
  DType dtype;
};
// In the order in which the reference writer puts tensors.
constexpr Format kFormats[] = {{"I64", DType::i64}, {"F64", DType::f64},   {"F32", DType::f32},
                               {"I32", DType::i32}, {"BF16", DType::bf16}, {"U8", DType::u8}};

int place_of(DType dtype) {
  int i = 0;
  while (kFormats[i].dtype != dtype) ++i;
  return i;
}

// Text of a file for a message: its first 100 bytes as JSON writes them, in printable ASCII.
std::string quoted_json(const std::string& text) {
  return json(text.substr(0, 100)).dump(-1, ' ', true, json::error_handler_t::replace) +
         (text.size() > 100 ? "..." : "");
}

// The checksum covers all that an archive says: the metadata without the checksum itself, then the
// tensors, both in the order of their names. A text goes in with its length, so that no character
// can move from one text to the next unnoticed. It is a checksum of the contents and not of the
// file: another program that writes the same tensors and notes in another order keeps it valid.
const char* const kChecksum = "rmt.crc32c";

std::string checksum(const Archive& archive) {
  uint32_t crc = 0;
  auto add = [&crc](const std::string& text) {
    const std::string whole = str(text.size(), ":", text);
    crc = crc32c(whole.data(), whole.size(), crc);
  };
  for (const auto& [key, value] : archive.metadata)
    if (key != kChecksum) {
      add(key);
      add(value);
    }
  for (const auto& [name, x] : archive.tensors) {
    add(name);
    add(str(x.dtype(), " ", x.shape()));
    crc = crc32c(x.raw(), x.nbytes(), crc);
  }
  char hex[9];
  std::snprintf(hex, sizeof hex, "%08x", crc);
  return hex;
}

// What the header says of a tensor.
struct Info {
  std::string name, dtype;
  std::vector<uint64_t> shape, offsets;
  std::set<std::string> fields;  // seen so far
};

// Listens to the JSON parser and accepts exactly
//
//   {name: {"dtype": text, "shape": [n, ...], "data_offsets": [n, n]}, ...,
//    "__metadata__": {text: text, ...}}
//
// A parser that builds a tree of values would drop one of two equal keys silently, and take 1e2 for
// a whole number.
class Header : public nlohmann::json_sax<json> {
 public:
  explicit Header(const std::string& path) : path_(path) {}

  std::vector<Info> tensors;
  std::map<std::string, std::string> metadata;

  [[noreturn]] void refuse(const std::string& reason) const {
    throw Error(path_ + ": not a valid safetensors file: " + reason +
                "; the file is damaged or was cut short, get it or write it again");
  }

  bool start_object(size_t) override {
    if (depth_ > 1 || array_) refuse("its header nests an object inside " + where());
    if (depth_++ == 1 && name_ != "__metadata__") {
      if (tensors.size() == kMaxTensors)
        refuse(str("it lists more than ", kMaxTensors, " tensors"));
      tensors.push_back({name_, {}, {}, {}, {}});
    }
    return true;
  }
  bool key(std::string& text) override {
    if (text.size() > kMaxName)
      refuse(str("its header has a name of ", text.size(), " bytes, the most is ", kMaxName));
    if (depth_ == 1) {
      name_ = text;
      if (!names_.insert(text).second) refuse("its header names " + quoted_json(text) + " twice");
      return true;
    }
    field_ = text;
    if (name_ == "__metadata__") {
      if (metadata.count(text)) refuse("its metadata names " + quoted_json(text) + " twice");
      if (metadata.size() == kMaxNotes)
        refuse(str("its metadata has more than ", kMaxNotes, " notes"));
      return true;
    }
    if (text != "dtype" && text != "shape" && text != "data_offsets")
      refuse("tensor " + quoted_json(name_) + " has an unknown field " + quoted_json(text));
    if (!tensors.back().fields.insert(text).second)
      refuse("tensor " + quoted_json(name_) + " has two fields " + quoted_json(text));
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1 && name_ != "__metadata__" && tensors.back().fields.size() != 3)
      refuse("tensor " + quoted_json(name_) + " lacks one of dtype, shape and data_offsets");
    return true;
  }
  bool start_array(size_t) override {
    if (depth_ != 2 || array_ || name_ == "__metadata__" || field_ == "dtype")
      refuse("its header has a list as " + where());
    array_ = true;
    return true;
  }
  bool end_array() override {
    array_ = false;
    return true;
  }
  bool string(std::string& text) override {
    if (depth_ == 2 && !array_ && name_ == "__metadata__")
      metadata[field_] = text;
    else if (depth_ == 2 && !array_ && field_ == "dtype")
      tensors.back().dtype = text;
    else
      refuse("its header has text as " + where());
    return true;
  }
  bool number_unsigned(uint64_t n) override {
    if (!array_) refuse("its header has a number as " + where());
    if (n > kMaxNumber) refuse(str(n, " in ", where(), " is above 2^53"));
    std::vector<uint64_t>& list = field_ == "shape" ? tensors.back().shape : tensors.back().offsets;
    if (list.size() == size_t(Shape::max_rank))
      refuse(str(where(), " has more than ", Shape::max_rank, " numbers"));
    list.push_back(n);
    return true;
  }
  // The parser calls number_unsigned for an integer that has no minus sign, and this for one that
  // has.
  bool number_integer(int64_t n) override { refuse(str("negative number ", n, " as ", where())); }
  bool number_float(double, const std::string& text) override {
    refuse(quoted_json(text) + " as " + where() + " is not a plain integer");
  }
  bool null() override { refuse("null as " + where()); }
  bool boolean(bool) override { refuse("a truth value as " + where()); }
  bool binary(json::binary_t&) override { refuse("binary data as " + where()); }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    refuse(str("its header is not JSON in UTF-8, at byte ", position));
  }

 private:
  std::string where() const {
    return depth_ == 0   ? "the header"
           : depth_ == 1 ? quoted_json(name_)
                         : quoted_json(field_) + " of " + quoted_json(name_);
  }

  const std::string& path_;
  int depth_ = 0;
  bool array_ = false;
  std::string name_, field_;
  std::set<std::string> names_;
};

uint64_t header_bytes(const InputFile& file, const Header& header) {
  if (file.size() < 8) header.refuse(str("it has ", file.size(), " bytes, the least is 8"));
  uint64_t n;
  file.read(&n, 8, 0);
  if (n > kMaxHeader)
    header.refuse(str("it announces a header of ", n, " bytes, the most is ", kMaxHeader));
  if (n > file.size() - 8)
    header.refuse(str("it announces a header of ", n, " bytes and has ", file.size() - 8));
  return n;
}

std::string header_text(const InputFile& file, uint64_t bytes, const Header& header) {
  std::string text(bytes, '\0');
  file.read(text.data(), bytes, 8);
  if (text.empty() || text[0] != '{') header.refuse("its header does not begin with {");
  text.erase(text.find_last_not_of(' ') + 1);
  if (text.back() != '}') header.refuse("its header does not end with } and spaces");
  // The JSON parser would take a zero byte for the end.
  if (text.find('\0') != std::string::npos) header.refuse("its header holds a zero byte");
  return text;
}

// The bytes of a tensor, from its shape; refuses one that overflows. On the way an extent of 0
// counts as 1: else [0, 2^60, 2^60] would pass, and [2^60, 2^60, 0] would not.
uint64_t checked_bytes(const Info& t, size_t element, const Header& header) {
  uint64_t product = 1;
  for (uint64_t d : t.shape)
    if (__builtin_mul_overflow(product, std::max<uint64_t>(d, 1), &product) || product > kMaxNumber)
      header.refuse("the shape of " + quoted_json(t.name) + " overflows");
  bool empty = std::count(t.shape.begin(), t.shape.end(), 0u) > 0;
  return empty ? 0 : product * element;
}

DType dtype_named(const Info& t, const std::string& path) {
  for (const Format& f : kFormats)
    if (t.dtype == f.name) return f.dtype;
  throw Error(str(path, ": tensor ", quoted_json(t.name), " has dtype ", quoted_json(t.dtype),
                  "; rmt reads F64 F32 BF16 I64 I32 U8, convert it to one of these"));
}

}  // namespace

const Tensor& Archive::at(const std::string& name) const {
  auto it = tensors.find(name);
  CHECK(it != tensors.end(), path, ": has no tensor ", quoted_json(name), " among its ",
        tensors.size());
  return it->second;
}

Archive read_safetensors(const std::string& path) {
  InputFile file(path);
  Header header(path);
  uint64_t n = header_bytes(file, header);
  std::string text = header_text(file, n, header);
  json::sax_parse(text.begin(), text.end(), &header);

  // In the order of their places each tensor must begin where the one before it ended, and the last
  // one must end with the file: there is no hole, no overlap, and nothing behind.
  std::vector<Info>& list = header.tensors;
  for (const Info& t : list)
    if (t.offsets.size() != 2)
      header.refuse("data_offsets of " + quoted_json(t.name) + " are not two numbers");
  std::sort(list.begin(), list.end(),
            [](const Info& a, const Info& b) { return a.offsets < b.offsets; });
  uint64_t begin = 8 + n, end = 0;
  for (const Info& t : list) {
    uint64_t bytes = checked_bytes(t, size_of(dtype_named(t, path)), header);
    if (t.offsets[0] != end)
      header.refuse(str("tensor ", quoted_json(t.name), " begins at ", t.offsets[0],
                        ", the one before it ends at ", end));
    if (t.offsets[1] < t.offsets[0] || t.offsets[1] - t.offsets[0] != bytes)
      header.refuse(str("tensor ", quoted_json(t.name), " lies at [", t.offsets[0], ", ",
                        t.offsets[1], "), its shape needs ", bytes, " bytes"));
    end = t.offsets[1];
  }
  if (begin + end != file.size())
    header.refuse(str("it has ", file.size(), " bytes, its header describes ", begin + end));

  Archive archive;
  archive.path = path;
  archive.metadata = std::move(header.metadata);
  for (const Info& t : list) {
    Tensor x = Tensor::empty(Shape(t.shape.begin(), t.shape.end()), dtype_named(t, path));
    file.read(x.raw(), x.nbytes(), begin + t.offsets[0]);
    archive.tensors.emplace(t.name, x);
  }
  if (auto given = archive.metadata.extract(kChecksum);
      given && given.mapped() != checksum(archive))
    throw Error(str(path, ": its names, notes and tensors have the checksum ", checksum(archive),
                    ", and its metadata ", kChecksum, " says ", quoted_json(given.mapped()),
                    "; the file is damaged, get it or write it again (or a program changed it and "
                    "kept the old checksum: let it leave out that entry)"));
  return archive;
}

// The text as it will be read again.
static std::string utf8(const std::string& text) {
  return json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::replace))
      .get<std::string>();
}

void write_safetensors(const std::string& path, const Archive& archive) {
  Archive a;
  for (const auto& [key, value] : archive.metadata) a.metadata[utf8(key)] = utf8(value);
  a.metadata["format"] = "pt";
  for (const auto& [name, x] : archive.tensors) {
    CHECK(x.defined() && name != "__metadata__", path, ": tensor ", quoted_json(name),
          " is undefined or has a reserved name");
    CHECK(a.tensors.emplace(utf8(name), x).second, path, ": two tensors are called ",
          quoted_json(utf8(name)));
  }
  a.metadata[kChecksum] = checksum(a);
  std::vector<std::pair<std::string, Tensor>> list(a.tensors.begin(), a.tensors.end());
  std::stable_sort(list.begin(), list.end(), [](const auto& x, const auto& y) {
    return place_of(x.second.dtype()) < place_of(y.second.dtype());
  });

  nlohmann::ordered_json header;
  header["__metadata__"] = a.metadata;
  size_t offset = 0;
  for (auto& [name, x] : list) {
    header[name] = {{"dtype", kFormats[place_of(x.dtype())].name},
                    {"shape", std::vector<int64_t>(x.shape().begin(), x.shape().end())},
                    {"data_offsets", {offset, offset + x.nbytes()}}};
    offset += x.nbytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  uint64_t n = text.size();
  CHECK(n <= kMaxHeader && list.size() <= kMaxTensors, path,
        ": too many or too long names for a safetensors header");

  std::vector<Bytes> parts{{&n, 8}, {text.data(), text.size()}};
  for (auto& [name, x] : list) parts.push_back({x.raw(), x.nbytes()});
  write_file(path, parts);
}

}  // namespace rmt::train
