// safetensors: the one file format for weights, checkpoints and reference data.
//
//   8 bytes: N, little endian | N bytes of JSON, padded with spaces | the tensors' bytes, no gaps
//
// Format: github.com/huggingface/safetensors. The reader trusts nothing: it checks every length
// before it uses it, and refuses a file that is not exactly what its header says. The format has no
// checksum. The writer adds one to the metadata, "rmt.crc32c", which other programs pass over; the
// reader checks it where there is one.
#pragma once
#include <map>
#include <string>

#include "core/tensor.h"

namespace rmt::train {

struct Archive {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
  std::string path;  // where it came from, for messages

  // The tensor of that name; Error, which names the file, when there is none.
  const Tensor& at(const std::string& name) const;
};

// Reads tensors of F64 F32 BF16 I64 I32 U8. Error, which names the file, the reason and a remedy,
// for anything that is not a valid archive of these, and for metadata or tensors that differ from
// those of which the checksum was made.
Archive read_safetensors(const std::string& path);

// Writes the file whole or not at all (core/files/files.h). The tensors stand by falling size of
// their dtype, then by name, as the reference writer orders them. To the metadata are added
// "format" = "pt", by which other tools recognise the file, and the checksum. What is not UTF-8 in
// a name or note becomes U+FFFD.
void write_safetensors(const std::string& path, const Archive& archive);

}  // namespace rmt::train
