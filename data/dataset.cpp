#include "data/dataset.h"

#include "data/image_folder.h"

namespace rmt {

std::unique_ptr<Dataset> open_dataset(const std::string& root, const std::string& split, const std::vector<std::string>& known_classes) {
  return std::make_unique<ImageFolder>(root, split, known_classes);
}

}  // namespace rmt
