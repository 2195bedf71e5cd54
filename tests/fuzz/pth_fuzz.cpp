// A .pth file of any bytes.
#include "tests/fuzz/fuzz.h"
#include "train/weights/pth.h"

using namespace rmt;
using namespace rmt::train;

FUZZ(pth) {
  fuzz::MemoryFile file(data, size);
  fuzz::result_or_error(file.path(), [&] { read_weights(file.path()); });
}
