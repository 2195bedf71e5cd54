// A safetensors file of any bytes; the tensors of one that is accepted take no more memory than it
// has bytes.
#include "tests/fuzz/fuzz.h"
#include "train/weights/safetensors.h"

using namespace rmt;
using namespace rmt::train;

FUZZ(safetensors) {
  fuzz::MemoryFile file(data, size);
  Archive archive;
  if (!fuzz::result_or_error(file.path(), [&] { archive = read_safetensors(file.path()); })) return;
  uint64_t bytes = 0;
  for (const auto& [name, x] : archive.tensors) bytes += x.nbytes();
  if (bytes > size) std::abort();
}
