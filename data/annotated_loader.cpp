#include "data/annotated_loader.h"

#include <algorithm>
#include <chrono>
#include <utility>

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
    groups[o.group_by_shape && width > height].push_back(i);
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
  std::vector<Made> made;
  for (int64_t b = 0; b < (options_.train ? options_.batch_size : 1); ++b)
    made.push_back(samples_->next());
  ++next_batch_;
  for (const Made& m : made) note_bad(m);
  Batch batch = batch_of(made);
  wait_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return batch;
}

// Images side by side, padded to one size.
Batch AnnotatedLoader::batch_of(std::vector<Made>& made) const {
  const int64_t B = int64_t(made.size());
  int64_t H = options_.least_side, W = options_.least_side;
  bool labelled = false;
  for (const Made& m : made) {
    H = std::max(H, m.sample.image.height);
    W = std::max(W, m.sample.image.width);
    labelled |= !m.sample.labels.labels.empty();
  }
  H = round_up(H, options_.multiple);
  W = round_up(W, options_.multiple);
  Batch batch;
  batch.images = Tensor::zeros({B, H, W, 3}, DType::u8);
  batch.mirror = Tensor::zeros({B}, DType::u8);
  batch.inside = Tensor::zeros({B, H, W, 1});
  for (int64_t b = 0; b < B; ++b) {
    Sample& s = made[size_t(b)].sample;
    const int64_t h = s.image.height, w = s.image.width;
    for (int64_t y = 0; y < h; ++y) {
      std::copy_n(s.image.rgb.data() + y * w * 3, w * 3,
                  batch.images.data<uint8_t>() + ((b * H + y) * W) * 3);
      std::fill_n(batch.inside.data<float>() + (b * H + y) * W, w, 1.f);
    }
    batch.places.push_back({w, h, s.original_width, s.original_height});
    batch.objects.push_back(std::move(s.objects));
    batch.indices.push_back(made[size_t(b)].index);
  }
  if (!labelled) return batch;
  // In evaluation the labels are the photograph's, of its own size.
  const LabelImage& first = made[0].sample.labels;
  const int64_t LH = options_.train ? H : first.height, LW = options_.train ? W : first.width;
  batch.pixel_labels = Tensor::full({B, LH, LW}, kIgnored, DType::u8);
  for (int64_t b = 0; b < B; ++b) {
    const LabelImage& l = made[size_t(b)].sample.labels;
    for (int64_t y = 0; y < l.height; ++y)
      std::copy_n(l.labels.data() + y * l.width, l.width,
                  batch.pixel_labels.data<uint8_t>() + (b * LH + y) * LW);
  }
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
