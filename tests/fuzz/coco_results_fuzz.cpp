// A file of any bytes as COCO's list of detections; what is read is evaluated.
#include "tests/fuzz/fuzz.h"
#include "train/detection/coco_json.h"

using namespace rmt;
using namespace rmt::train;

FUZZ(coco_results) {
  const fuzz::MemoryFile file({data, data + size});
  const CocoNames names{{{1, {4, 3}}, {2, {640, 480}}}, {1, 18}};
  for (const CocoKind kind : {CocoKind::kBoxes, CocoKind::kMasks})
    fuzz::result_or_error(file.path(), [&] {
      const auto found = read_coco_results(file.path(), kind, names);
      coco_evaluate({}, found, names.categories, kind).stats();
    });
}
