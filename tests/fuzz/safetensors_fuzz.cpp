// A safetensors file of any bytes; the tensors of one that is accepted take no more memory than it
// has bytes. Its parts are the entries of the header and the tensors' bytes.
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"
#include "train/run/json_text.h"
#include "train/weights/model_file.h"
#include "train/weights/safetensors.h"

using namespace rmt;
using namespace rmt::train;
using nlohmann::json;

namespace {

// "name":{...}, one part an entry; the last part is the data. A header that is not JSON is one
// part.
fuzz::Parts split(const std::string& bytes) {
  if (bytes.size() < 8) return {bytes};
  const size_t n = std::min<uint64_t>(fuzz::number_at(bytes, 0, 8), bytes.size() - 8);
  const json header = parse_json(bytes.substr(8, n));
  fuzz::Parts parts;
  if (header.is_object())
    for (const auto& [name, entry] : header.items())
      parts.push_back(json(name).dump(-1, ' ', true, json::error_handler_t::replace) + ":" +
                      entry.dump(-1, ' ', true, json::error_handler_t::replace));
  else
    parts.push_back(bytes.substr(8, n));
  parts.push_back(bytes.substr(8 + n));
  return parts;
}

size_t element(const json& dtype) {
  if (dtype == "F64" || dtype == "I64") return 8;
  if (dtype == "F32" || dtype == "I32") return 4;
  return dtype == "BF16" ? 2 : 1;
}

// Bytes of a tensor of that entry; what is no shape counts as one element.
size_t bytes_of(const json& entry) {
  size_t bytes = element(entry.value("dtype", json()));
  for (const json& extent : entry.value("shape", json::array()))
    if (extent.is_number_unsigned()) bytes *= std::min<size_t>(extent.get<size_t>(), 4096);
  return std::min<size_t>(bytes, 4096);
}

// Puts the tensors one behind the other, with as many bytes as they need, and leaves the checksum
// out: else every change would be noticed by it.
std::string join(const fuzz::Parts& parts) {
  if (parts.empty()) return "";
  std::string text, data = parts.back();
  size_t offset = 0;
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    json one = parse_json("{" + parts[i] + "}");
    if (!one.is_object() || one.empty() || !one.begin().value().is_object()) {
      text += (text.empty() ? "" : ",") + parts[i];
      continue;
    }
    const std::string name = one.begin().key();
    json& entry = one.begin().value();
    entry.erase("rmt.crc32c");
    if (name != "__metadata__") {
      const size_t bytes = bytes_of(entry);
      entry["data_offsets"] = {offset, offset + bytes};
      offset += bytes;
    }
    const std::string whole = one.dump(-1, ' ', true, json::error_handler_t::replace);
    text += (text.empty() ? "" : ",") + whole.substr(1, whole.size() - 2);
  }
  if (!text.starts_with("{")) text = "{" + text + "}";
  if (offset > 0) data.resize(offset);
  return fuzz::number(text.size(), 8) + text + data;
}

}  // namespace

FORMAT(safetensors, split, join)

FUZZ(safetensors) {
  fuzz::MemoryFile file(data, size);
  Archive archive;
  if (!fuzz::result_or_error(file.path(), [&] { archive = read_safetensors(file.path()); })) return;
  uint64_t bytes = 0;
  for (const auto& [name, x] : archive.tensors) bytes += x.nbytes();
  if (bytes > size) std::abort();
  fuzz::result_or_error("", [&] { model_kind(archive); });
}
