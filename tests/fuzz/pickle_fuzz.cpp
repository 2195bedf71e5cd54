// The pickle of a .pth file, of any bytes, beside storages that it may refer to: in a zip file that
// is sound, so that checksums do not keep it from the reader.
#include "tests/fuzz/fuzz.h"
#include "tests/train/weights/pth_writer.h"
#include "train/weights/pth.h"

using namespace rmt;
using namespace rmt::train;

FUZZ(pickle) {
  const std::string pickle(data, data + size), numbers = "0123456789abcdefghijklmnopqrstuv";
  const std::string zip = test::zip_of({{"a/data.pkl", pickle},
                                        {"a/data/0", numbers},
                                        {"a/data/1", numbers.substr(0, 8)},
                                        {"a/data/2", ""}});
  fuzz::MemoryFile file(zip.data(), zip.size());
  fuzz::result_or_error(file.path(), [&] { read_pth(file.path()); });
}
