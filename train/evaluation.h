// How good a model is on images that it was not trained with, and the result as rmt-eval's JSON.
#pragma once
#include <functional>

#include "core/processes/processes.h"
#include "data/loader.h"
#include "nn/module.h"
#include "train/compute.h"
#include "train/confusion.h"
#include "train/metrics.h"
#include "train/tested_weights.h"
#include "train/weights/model_file.h"

namespace rmt::train {

using Forward = std::function<Tensor(const Tensor& images)>;  // (B, H, W, 3) -> logits (B, K)

// Top-1, top-5 and loss over everything that the loader holds. `flag` is what a user sets its batch
// size with: named where memory is too small for it. `seen`, where given, is shown each batch with
// its logits (B, K) f32 on the host; its false ends the evaluation.
//
// Over processes each calls with a loader of its part (data::LoaderOptions::rank), and all get the
// same: the sums over all parts, batch by batch in the order of ranks, which for any number of
// processes have the bits that one alone would get. Where `seen` ends one of them, the others
// finish their parts, and `complete` is false everywhere.
Metrics evaluate(
    nn::Module& model, const Forward& forward, data::Loader& loader, const Compute& compute = {},
    const data::TransformOptions& transform = {}, const char* flag = "--batch-size",
    const std::function<bool(const data::Batch&, const Tensor& logits)>& seen = nullptr,
    Processes& processes = alone());
// The same for each of several weights of the model, in one pass over the loader. What `seen` is
// shown are the logits of weights 0, 1, 0, 1 and so on in an order that it cannot know.
std::vector<Metrics> evaluate_each(
    TestedWeights& weights, nn::Module& model, const Forward& forward, data::Batches& loader,
    const Compute& compute, const data::TransformOptions& transform, const char* flag,
    const std::function<bool(const data::Batch&, const Tensor& logits)>& seen,
    Processes& processes);

// One object under the names of timm's validate.py, in per cent: model, top1, top1_err, top5,
// top5_err, param_count (millions), img_size, crop_pct, interpolation; then loss, images,
// bad_images, data_dir, split and seconds; then per_class, a list, where `classes` are given.
std::string evaluation_json(const Metrics& metrics, const ModelFile& file, int64_t bad_images,
                            double seconds, const std::string& split = "val",
                            const std::vector<ClassResult>& classes = {});

}  // namespace rmt::train
