// A .pth file of any bytes.
#include "tests/fuzz/fuzz.h"
#include "train/pth.h"

using namespace rmt;

FUZZ(pth) {
  test::MemoryFile file(data, size);
  fuzz::result_or_error(file.path(), [&] { read_weights(file.path()); });
}
