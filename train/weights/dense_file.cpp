#include "train/weights/dense_file.h"

#include <algorithm>

#include "train/dense_defaults.h"
#include "train/nearest.h"
#include "train/weights/model_file.h"
#include "train/weights/pth.h"

namespace rmt::train {
DenseFile read_dense_file(const std::string& path, const std::string& model,
                          const std::string& head, const std::vector<std::string>& heads,
                          const ClassCount& classes_in) {
  DenseFile file{.archive = read_weights(weights_path(path)), .options = {}, .classes = {}};
  const Description d = description_of(file.archive);
  if (d.options.empty()) {
    CHECK(!head.empty() && !model.empty(), file.archive.path,
          ": does not say what it is; name it by --model (rmt_t, ...) and --head (", listed(heads),
          ")");
    file.options = dense_defaults(head, model);
  } else {
    file.options = options_from_json(d.options, file.archive.path);
    CHECK(!file.options.head.empty(), file.archive.path, ": holds a classifier, ",
          file.options.model, "; rmt-eval and rmt-classify read it");
  }
  const std::string& own = file.options.head;
  CHECK(std::find(heads.begin(), heads.end(), own) != heads.end(), file.archive.path,
        ": holds a model with the head ", own, ", and this program reads ", listed(heads), "; ",
        own == "semantic_fpn" || own == "upernet" ? "rmt-seg" : "rmt-det", " reads it");
  file.classes = d.classes;
  file.named = !file.classes.empty();
  if (!file.named) {
    const int64_t classes = classes_in(file.archive, own);
    CHECK(classes > 0 && classes <= 65536, file.archive.path, ": has weights for ", classes,
          " classes");
    for (int64_t k = 0; k < classes; ++k) file.classes.push_back(str("class ", k));
  }
  file.origin = str(file.archive.path, ": ", file.options.model, " with ", own, ", ",
                    file.classes.size(), " classes");
  return file;
}

}  // namespace rmt::train
