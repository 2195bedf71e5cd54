#include "train/options.h"

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "data/augment.h"

namespace rmt {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(TrainOptions, data_dir, model, img_size, drop_path, grad_checkpointing, decay_mode, decay, rotary,
                                                local_context, position_conv, ffn_conv, conv_stem, decomposed, layer_scale, epochs, batch_size,
                                                validation_batch_size, lr, min_lr, warmup_lr, warmup_epochs, sched_on_updates, weight_decay, smoothing, scale,
                                                ratio, hflip, crop_pct, aa, reprob, mean, std, device, amp, tf32, cuda_graph, seed, workers, threads,
                                                log_interval, max_bad_images)

std::string to_json(const TrainOptions& options) {
  return nlohmann::ordered_json(nlohmann::json(options)).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

TrainOptions options_from_json(const std::string& text, const std::string& source) {
  try {
    return nlohmann::json::parse(text).get<TrainOptions>();
  } catch (const nlohmann::json::exception& e) {
    throw Error(str(source, ": holds no options of rmt-train: ", e.what()));
  }
}

void check(const TrainOptions& o) {
  auto in = [](const char* flag, double value, double least, double most, const char* unit) {
    CHECK(value >= least && value <= most, "--", flag, " ", value, " is not between ", least, " and ", most, unit);
  };
  parse_augment(o.aa);
  in("img-size", double(o.img_size), 32, 16384, " pixels: the model halves the image five times");
  in("epochs", double(o.epochs), 1, 1e6, "");
  in("batch-size", double(o.batch_size), 1, 1e6, " images");
  in("validation-batch-size", double(o.validation_batch_size), 0, 1e6, " images");
  in("lr", o.lr, 0, 1e3, "");
  in("min-lr", o.min_lr, 0, 1e3, "");
  in("warmup-lr", o.warmup_lr, 0, 1e3, "");
  in("warmup-epochs", o.warmup_epochs, 0, 1e6, "");
  in("weight-decay", o.weight_decay, 0, 1e3, "");
  in("smoothing", o.smoothing, 0, 1, "");
  in("reprob", o.reprob, 0, 1, "");
  in("drop-path", o.drop_path, -1, 0.999, "");
  in("workers", double(o.workers), 1, 256, " threads");
  in("threads", double(o.threads), 0, 1024, " threads");
  in("log-interval", double(o.log_interval), 0, 1e9, " steps");
  in("max-bad-images", double(o.max_bad_images), 0, 1e9, " images");
}

}  // namespace rmt
