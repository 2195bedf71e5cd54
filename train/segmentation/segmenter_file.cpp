#include "train/segmentation/segmenter_file.h"

#include "train/dense_parts.h"
#include "train/segmentation/evaluation.h"
#include "train/segmentation/task.h"
#include "train/weights/model_file.h"

namespace rmt::train {

std::unique_ptr<nn::Segmenter> make_segmenter(const TrainOptions& o, int64_t classes) {
  return nn::make_segmenter(o.head, model_config(o, classes), classes,
                            {.channels = o.fpn_channels});
}

SegmenterFile load_segmenter(const std::string& path, const std::string& model,
                             const std::string& head) {
  DenseFile f = read_dense_file(path, model, head, nn::segmentation_heads(),
                                [](const Archive& archive, const std::string&) {
                                  return archive.at("decode_head.conv_seg.weight").dim(0);
                                });
  SegmenterFile file{f.options, f.classes, make_segmenter(f.options, int64_t(f.classes.size())),
                     f.origin, f.named};
  load_model(*file.model, f.archive, name_with_head(f.options));
  return file;
}

data::LabelImage predict(SegmenterFile& file, const Compute& compute, const data::Image& image) {
  NoGrad off;
  file.model->mode().training = false;
  const data::Batch batch =
      batch_of(image, data::segmentation_evaluation(segmentation_options(file.options)));
  const Tensor images = compute.images(batch, transform_options(file.options));
  return predicted_labels(file.model->forward(images).main, batch.places[0]);
}

}  // namespace rmt::train
