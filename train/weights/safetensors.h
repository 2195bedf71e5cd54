// safetensors: the one file format for weights, checkpoints and reference data.
//   8 bytes: N, little endian | N bytes of JSON, padded with spaces | the tensors' bytes, without
//   gaps
// Format: github.com/huggingface/safetensors. The reader trusts nothing: every length is checked
// before it is used, and a file that is not exactly what its header says is refused. The format has
// no checksum: the writer adds one to the metadata, "rmt.crc32c", which other programs pass over;
// the reader checks it where it is there.
#pragma once
#include <map>
#include <string>

#include "core/tensor.h"

namespace rmt::train {

struct Archive {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
  std::string path;  // where it came from, for messages

  // The tensor of that name; throws Error naming the file when there is none.
  const Tensor& at(const std::string& name) const;
};

// Reads F64 F32 BF16 I64 I32 U8. Throws Error, which names the file, the reason and a remedy, for
// anything that is not a valid archive of these, and for metadata or tensors that are not what
// their checksum was made of.
Archive read_safetensors(const std::string& path);

// Writes the file whole or not at all (core/files/files.h). Tensors go by falling dtype size, then
// by name, as the reference writer orders them; metadata "format" = "pt" is added, by which other
// tools recognise the file, and the checksum. What is not UTF-8 in a name or note becomes U+FFFD.
void write_safetensors(const std::string& path, const Archive& archive);

}  // namespace rmt::train
