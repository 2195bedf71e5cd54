#include "train/dense_defaults.h"

#include "core/error.h"

namespace rmt::train {
namespace {

// Sides, crops and batches; no smoothing, no average: what all of a task have in common.
TrainOptions of_segmentation(double lr, double decay, double power, int64_t epochs) {
  TrainOptions o;
  o.lr = lr;
  o.min_lr = power == 1 ? 0 : 1e-6;
  o.weight_decay = decay;
  o.sched = "poly";
  o.poly_power = power;
  o.epochs = epochs;
  o.batch_size = 16;
  o.long_side = 2048;
  o.short_side = 512;
  return o;
}

TrainOptions of_detection(const std::string& model, double decay, int64_t epochs,
                          const std::string& milestones) {
  TrainOptions o;
  o.lr = model == "rmt_l" ? 2e-4 : 4e-4;
  o.min_lr = 0;
  o.weight_decay = decay;
  o.sched = "step";
  o.milestones = milestones;
  o.epochs = epochs;
  o.warmup_steps = 500;
  o.warmup_ratio = 0.001;
  o.batch_size = 2;
  o.long_side = 1333;
  o.short_side = 800;
  o.three_x = epochs > 12;
  return o;
}

TrainOptions of_head(const std::string& head, const std::string& model) {
  TrainOptions o;
  if (head == "semantic_fpn") {
    o = of_segmentation(1e-4, 1e-4, 0.9, 64);
    o.no_decay = "nothing";
  } else if (head == "upernet") {
    o = of_segmentation(6e-5, 0.01, 1, 127);
    o.no_decay = "norm";
    o.warmup_steps = 1500;
    o.warmup_ratio = 1e-6;
  } else if (head == "retinanet") {
    o = of_detection(model, 1e-4, 12, "8,11");
    o.no_decay = "nothing";
  } else if (head == "cascade_mask_rcnn") {
    o = of_detection(model, 0.05, 36, "27,33");
    o.no_decay = "norms";
  } else {
    CHECK(head == "mask_rcnn" || head == "faster_rcnn", "--head ", head,
          " is not known: semantic_fpn, upernet, retinanet, faster_rcnn, mask_rcnn, "
          "cascade_mask_rcnn");
    o = of_detection(model, 0.05, 12, "8,11");
    o.no_decay = "norm";
  }
  return o;
}

}  // namespace

TrainOptions dense_defaults(const std::string& head, const std::string& model) {
  TrainOptions o = of_head(head, model);
  o.head = head;
  o.model = model;
  o.warmup_epochs = 0;
  return o;
}

}  // namespace rmt::train
