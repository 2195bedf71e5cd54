// Lists of classes of any bytes.
#include "data/segmentation/class_list.h"
#include "tests/fuzz/fuzz.h"

using namespace rmt;
using namespace rmt::data;

FUZZ(class_list) {
  const fuzz::MemoryFile file(data, size);
  const std::string& path = file.path();
  for (const auto read : {read_class_names, read_class_info}) {
    std::vector<std::string> names;
    if (!fuzz::result_or_error(path, [&] { names = read(path); })) continue;
    if (names.empty() || names.size() > 255) std::abort();
  }
}
