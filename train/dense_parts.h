// What the tasks of segmentation and detection have in common.
#pragma once
#include "data/annotated_loader.h"
#include "data/images/image_grid.h"
#include "train/checkpoint.h"
#include "train/compute.h"

namespace rmt::train {

// Of all but what a batch is padded to, and how images are grouped. Batches that train on a GPU lie
// in pinned memory.
data::AnnotatedLoaderOptions annotated_loader_options(const TrainOptions& options, bool train,
                                                      const Compute& compute);

// "rmt_t with upernet", for people.
std::string name_with_head(const TrainOptions& options);

// One photograph as a batch for evaluation, padded to multiples of `multiple`.
data::Batch batch_of(const data::Image& image, const data::Pipeline& pipeline,
                     int64_t multiple = 1);

// Of both sets; checksums as data::checksum().
DataCounts counts_of(const data::AnnotatedSet& train, const data::AnnotatedSet& test);

// The images of a batch in colours, each without its padding.
std::vector<data::Image> unpadded_pictures(const data::Batch& batch, int64_t most);

// Pictures of several sizes on black canvases of one, as data::image_grid wants them.
void make_same_size(std::vector<data::Tile>& tiles);

}  // namespace rmt::train
