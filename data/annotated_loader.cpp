#include "data/annotated_loader.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/cuda/pinned.h"
#include "core/error.h"
#include "core/parallel.h"

namespace rmt::data {
namespace {

// The numbers of `images` in the order of one pass.
std::vector<int64_t> permuted(const std::vector<int64_t>& images, uint64_t seed, uint64_t pass) {
  const int64_t n = int64_t(images.size());
  std::vector<int64_t> out;
  if (n == 0) return out;
  const Permutation order(n, seed, pass);
  for (int64_t i = 0; i < n; ++i) out.push_back(images[size_t(order(i))]);
  return out;
}

int64_t round_up(int64_t x, int64_t multiple) { return (x + multiple - 1) / multiple * multiple; }

}  // namespace

// Rows of bytes, `width` of them each, into the upper left corner of `to`, whose rows have
// `stride`.
static void put(const std::vector<uint8_t>& from, int64_t width, uint8_t* to, int64_t stride) {
  for (int64_t y = 0; width > 0 && (y + 1) * width <= int64_t(from.size()); ++y)
    std::copy_n(from.data() + y * width, width, to + y * stride);
}

Batch batch_of(std::vector<Sample>& samples, int64_t least, int64_t multiple) {
  const int64_t B = int64_t(samples.size());
  int64_t H = least, W = least;
  bool labelled = false;
  for (const Sample& s : samples) {
    H = std::max(H, s.image.height);
    W = std::max(W, s.image.width);
    labelled |= !s.labels.labels.empty();
  }
  H = round_up(H, multiple);
  W = round_up(W, multiple);
  Batch batch;
  batch.images = Tensor::zeros({B, H, W, 3}, DType::u8);
  batch.mirror = Tensor::zeros({B}, DType::u8);
  batch.inside = Tensor::zeros({B, H, W, 1});
  // The labels of one sample alone may be of another size.
  const bool alone = B == 1 && labelled && least == 0;
  const int64_t LH = alone ? samples[0].labels.height : H;
  const int64_t LW = alone ? samples[0].labels.width : W;
  if (labelled) batch.pixel_labels = Tensor::full({B, LH, LW}, kIgnored, DType::u8);
  for (int64_t b = 0; b < B; ++b) {
    Sample& s = samples[size_t(b)];
    const int64_t h = s.image.height, w = s.image.width;
    put(s.image.rgb, w * 3, batch.images.data<uint8_t>() + b * H * W * 3, W * 3);
    for (int64_t y = 0; y < h; ++y)
      std::fill_n(batch.inside.data<float>() + (b * H + y) * W, w, 1.f);
    if (labelled)
      put(s.labels.labels, s.labels.width, batch.pixel_labels.data<uint8_t>() + b * LH * LW, LW);
    batch.places.push_back({w, h, s.original_width, s.original_height});
    batch.objects.push_back(std::move(s.objects));
  }
  return batch;
}

AnnotatedLoader::AnnotatedLoader(const AnnotatedSet& data, const Pipeline& pipeline,
                                 const AnnotatedLoaderOptions& o)
    : data_(data), pipeline_(pipeline), options_(o) {
  CHECK(o.batch_size >= 1 && o.batch_size <= 65536, "loader: batch size ", o.batch_size,
        " is not in [1, 65536]");
  CHECK(o.workers >= 0 && o.workers <= 256, "loader: ", o.workers, " workers is not in [0, 256]");
  CHECK(o.passes >= 1 && o.passes <= 100'000, "loader: ", o.passes,
        " passes an epoch is not in [1, 100000]");
  CHECK(o.ranks >= 1 && o.rank >= 0 && o.rank < o.ranks, "loader: rank ", o.rank, " of ", o.ranks,
        " processes does not exist");
  CHECK(data.size() > 0, data.place(), ": holds no image");
  const int64_t size = o.train ? o.batch_size : 1;
  const int64_t parts = int64_t(order(0).size()) / size;
  if (o.train) {
    CHECK(parts >= o.ranks, data.place(), " has ", data.size(), " images, fewer than one batch of ",
          size, o.ranks > 1 ? " for each process" : "",
          "; give a smaller --batch-size, or more --passes");
    batches_ = parts / o.ranks;
    first_part_ = o.rank;
    part_step_ = o.ranks;
  } else {
    first_part_ = part_begin(parts, o.ranks, o.rank);
    batches_ = part_begin(parts, o.ranks, o.rank + 1) - first_part_;
  }
}

std::vector<int64_t> AnnotatedLoader::order(int64_t epoch) const {
  const AnnotatedLoaderOptions& o = options_;
  std::vector<int64_t> groups[2];
  for (int64_t i = 0; i < data_.size(); ++i) {
    const auto [width, height] = data_.image_size(i);
    groups[o.train && o.group_by_shape && width > height].push_back(i);
  }
  if (!o.train) return groups[0];
  std::vector<std::vector<int64_t>> batches;
  std::vector<int64_t> left;  // without groups, what fills no batch goes on with the next pass
  for (int64_t p = 0; p < o.passes; ++p) {
    const uint64_t pass = uint64_t(epoch * o.passes + p);
    for (const std::vector<int64_t>& group : groups) {
      std::vector<int64_t> images = permuted(group, o.seed, pass);
      Random random(o.seed, Purpose::shuffle, pass, uint64_t(&group - groups) + 1);
      while (o.group_by_shape && images.size() % size_t(o.batch_size) != 0)
        images.push_back(group[size_t(random.uniform() * double(group.size()))]);
      for (int64_t i : images) {
        left.push_back(i);
        if (int64_t(left.size()) == o.batch_size) batches.push_back(std::exchange(left, {}));
      }
    }
  }
  std::vector<int64_t> numbers(batches.size()), out;
  for (size_t b = 0; b < batches.size(); ++b) numbers[b] = int64_t(b);
  if (o.group_by_shape) numbers = permuted(numbers, o.seed, ~uint64_t(epoch));
  for (int64_t b : numbers)
    out.insert(out.end(), batches[size_t(b)].begin(), batches[size_t(b)].end());
  return out;
}

void AnnotatedLoader::start(int64_t epoch, int64_t first_batch) {
  CHECK(epoch >= 0, "loader: epoch ", epoch, " is below 0");
  CHECK(first_batch >= 0 && first_batch <= batches_, "loader: an epoch has ", batches_,
        " batches, cannot start at ", first_batch);
  samples_.reset();
  order_ = order(epoch);
  next_batch_ = first_batch;
  wait_seconds_ = 0;
  const int64_t size = options_.train ? options_.batch_size : 1;
  auto made = [this, epoch, size](int64_t i) {  // the i-th sample of this process's batches
    const int64_t part = first_part_ + i / size * part_step_;
    const int64_t place = part * size + i % size;
    return make(epoch, place, order_[size_t(place)]);
  };
  samples_ = std::make_unique<Ahead<Made>>(first_batch * size, batches_ * size, options_.workers,
                                           2 * size + 2 * options_.workers, made);
}

// Reads the image, or the next readable one, and lets the pipeline change it.
AnnotatedLoader::Made AnnotatedLoader::make(int64_t epoch, int64_t place, int64_t index) const {
  Made made;
  for (;;) {
    Random random(options_.seed, Purpose::augment, uint64_t(epoch), uint64_t(place));
    Draws draws = Draws::of(random);
    try {
      made.sample = pipeline_(data_.example(index), draws);
      made.index = index;
      return made;
    } catch (const SystemError&) {
      throw;  // no image could be read now: none is broken
    } catch (const Error& e) {
      made.skipped.push_back({index, e.what()});
      const int64_t count = int64_t(made.skipped.size());
      CHECK(count <= options_.max_bad && count < data_.size(), "loader: ", count,
            " images in a row could not be read, the last one: ", e.what());
      index = (index + 1) % data_.size();
    }
  }
}

std::optional<Batch> AnnotatedLoader::next() {
  CHECK(samples_, "loader: next() before start()");
  if (next_batch_ == batches_) return std::nullopt;
  const auto began = std::chrono::steady_clock::now();
  std::optional<Batch> batch;
  try {
    batch = next_batch();
  } catch (...) {
    samples_.reset();  // a part of the batch has been taken: what would follow is no batch
    throw;
  }
  ++next_batch_;
  wait_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return batch;
}

Batch AnnotatedLoader::next_batch() {
  std::vector<Sample> samples;
  std::vector<int64_t> indices;
  for (int64_t b = 0; b < (options_.train ? options_.batch_size : 1); ++b) {
    Made made = samples_->next();
    note_bad(made);
    indices.push_back(made.index);
    samples.push_back(std::move(made.sample));
  }
  const cuda::PinnedMemory pinned(options_.pinned);
  Batch batch = batch_of(samples, options_.train ? options_.least_side : 0, options_.multiple);
  batch.indices = std::move(indices);
  return batch;
}

void AnnotatedLoader::note_bad(const Made& made) {
  for (const auto& [index, reason] : made.skipped) {
    if (!bad_indices_.insert(index).second) continue;
    const std::string name = data_.name(index), prefix = printable(name) + ": ";
    bad_.push_back({name, reason.substr(reason.starts_with(prefix) ? prefix.size() : 0)});
    CHECK(int64_t(bad_.size()) <= options_.max_bad, "loader: more than ", options_.max_bad,
          " images could not be read, the last one: ", reason,
          "; repair the data or raise --max-bad-images");
  }
}

}  // namespace rmt::data
