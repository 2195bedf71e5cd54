#include "data/loader.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <system_error>

#include "core/cuda/pinned.h"
#include "core/error.h"
#include "core/parallel.h"

namespace rmt::data {

struct Loader::Slot {
  int64_t place, size;  // of its first sample in the epoch's order, and how many there are
  Batch batch;
  int64_t taken = 0, finished = 0;  // samples
  std::vector<Skip> skips;
  // Of all samples that failed, the first one's by position: not by time, which varies.
  std::exception_ptr error;
  int64_t error_position = -1;
};

int64_t samples_an_epoch(int64_t images, int64_t repeats) {
  return repeats > 1 && images >= 256 ? images / 256 * 256 : images;
}

Loader::Loader(const Dataset& data, const LoaderOptions& options) : data_(data), options_(options) {
  CHECK(options.batch_size >= 1 && options.batch_size <= 65536, "loader: batch size ",
        options.batch_size, " is not in [1, 65536]");
  CHECK(options.workers >= 0 && options.workers <= 256, "loader: ", options.workers,
        " workers is not in [0, 256]");
  CHECK(options.max_bad >= 0, "loader: max_bad ", options.max_bad, " is below 0");
  CHECK(options.repeats >= 1 && options.repeats <= 100, "loader: ", options.repeats,
        " repeats of an image is not in [1, 100]");
  CHECK(options.train || options.repeats == 1, "loader: images are repeated in training alone");
  CHECK(options.ranks >= 1 && options.rank >= 0 && options.rank < options.ranks, "loader: rank ",
        options.rank, " of ", options.ranks, " processes does not exist");
  check_transform_options(options.transform);
  check_mix_options(options.mix);
  CHECK(!options.labels || (options.train && options.transform.augment_first),
        "loader: label maps are for training, with transform.augment_first");
  images_ = data.size();
  classes_ = int64_t(data.classes().size());
  CHECK(images_ >= 0, data.place(), ": says that it has ", images_, " images");
  samples_ = samples_an_epoch(images_, options.repeats);
  count_batches();
  if (options.cache_bytes > 0) cache_.resize(size_t(data.size()));
}

// Which parts of the epoch are this process's, and whether they can be had as asked.
void Loader::count_batches() {
  const LoaderOptions& o = options_;
  const int64_t n = samples_, size = o.batch_size, R = o.ranks;
  const bool drop_last = o.drop_last.value_or(o.train);
  CHECK(R == 1 || drop_last == o.train, "loader: ", R, " processes drop the last batch in training",
        ", which not all would have, and no image in evaluation");
  const int64_t parts = drop_last ? n / size : (n + size - 1) / size;
  CHECK(parts > 0 && (!o.train || parts >= R), data_.place(), " has ", images_, " images, ",
        R == 1 ? "fewer than one batch of " : "fewer than one batch for each of the processes, ",
        R == 1 ? str(size) : str(R, " batches of ", size), "; give a smaller --batch-size");
  if (o.train) {
    batches_ = parts / R;
    first_part_ = o.rank;
    part_step_ = R;
  } else {
    first_part_ = part_begin(parts, R, o.rank);
    batches_ = part_begin(parts, R, o.rank + 1) - first_part_;
  }
  const int64_t last_size = drop_last ? size : n % size;
  CHECK(!o.train || !o.mix.on() || (size % 2 == 0 && last_size % 2 == 0),
        "loader: Mixup and CutMix pair the images of a batch; ", n, " images in batches of ", size,
        " leave one alone: use an even batch size, and drop the last batch");
}

Loader::~Loader() { stop(); }

void Loader::start(int64_t epoch, int64_t first_batch) {
  CHECK(epoch >= 0, "loader: epoch ", epoch, " is below 0");
  CHECK(data_.size() == images_, data_.place(), ": has ", data_.size(), " images now and had ",
        images_, " when the loader was made; size() must stay as it is");
  CHECK(first_batch >= 0 && first_batch <= batches_, "loader: an epoch has ", batches_,
        " batches, cannot start at ", first_batch);
  stop();
  epoch_ = epoch;
  next_batch_ = first_batch;
  slots_made_ = first_batch;
  wait_seconds_ = 0;
  if (options_.workers == 0) return;
  // Enough to do for every thread while the caller holds one batch.
  int64_t ahead = 3 + 2 * options_.workers / options_.batch_size;
  while (ahead-- > 0 && slots_made_ < batches_) add_slot();
  // A new thread inherits this one's signal mask. The workers block every signal, so that each goes
  // to the thread that trains.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    for (int i = 0; i < options_.workers; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // No more threads to be had: those that started do the work, or, where none did, next().
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!threads_.empty()) return;
  ring_.clear();
  slots_made_ = first_batch;
}

void Loader::stop() {
  {
    std::lock_guard lock(mutex_);
    quit_ = true;
  }
  work_.notify_all();
  for (std::thread& t : threads_) t.join();
  threads_.clear();
  ring_.clear();
  quit_ = false;
}

void Loader::add_slot() {
  auto slot = std::make_unique<Slot>();
  const int64_t part = first_part_ + slots_made_ * part_step_, side = options_.transform.image_size;
  slot->place = part * options_.batch_size;
  slot->size = std::min(options_.batch_size, samples_ - slot->place);
  // The tensors' memory is core/storage.h's, which keeps what an earlier batch gave back.
  const cuda::PinnedMemory pinned(options_.pinned);
  slot->batch.images = Tensor::empty({slot->size, side, side, 3}, DType::u8);
  slot->batch.mirror = Tensor::zeros({slot->size}, DType::u8);
  if (options_.train && options_.transform.erasing.probability > 0)
    slot->batch.erase = Tensor::zeros({slot->size, 5}, DType::i64);
  if (options_.train && options_.mix.on()) {
    const Mix m = mix_of_batch(options_.mix, options_.seed, epoch_, part, side, side);
    slot->batch.mix =
        Tensor::from<double>({m.image_lambda, m.target_lambda, double(m.box.x), double(m.box.y),
                              double(m.box.width), double(m.box.height)},
                             {6});
  }
  slot->batch.labels = Tensor::empty({slot->size}, DType::i64);
  if (const LabelMaps* maps = options_.labels) {
    const Shape shape{slot->size, maps->height(), maps->width(), maps->top()};
    slot->batch.label_values = Tensor::empty(shape);
    slot->batch.label_classes = Tensor::empty(shape, DType::i32);
    slot->batch.label_boxes = Tensor::empty({slot->size, 4}, DType::f64);
  }
  slot->batch.indices.resize(size_t(slot->size));
  std::lock_guard lock(mutex_);
  ring_.push_back(std::move(slot));
  ++slots_made_;
}

// A worker's life: take the first samples that nobody has taken, make them, repeat.
void Loader::work() {
  for (;;) {
    Slot* slot = nullptr;
    int64_t begin = 0, end = 0;
    {
      std::unique_lock lock(mutex_);
      auto untaken = [&] {
        for (auto& s : ring_)
          if (s->taken < s->size) {
            slot = s.get();
            return true;
          }
        return false;
      };
      work_.wait(lock, [&] { return quit_ || untaken(); });
      if (quit_) return;
      begin = slot->taken;
      end = end_of_copies(*slot, begin);
      slot->taken = end;
    }
    // The slot stays: a batch is handed out only when all its samples are finished.
    finish_samples(*slot, begin, end);
  }
}

// The end of the samples from `position` on that show one image, which one thread reads once. The
// epoch's place p holds copy p % repeats of its image, so repeats - copy samples are left of it.
int64_t Loader::end_of_copies(const Slot& slot, int64_t position) const {
  const int64_t copy = (slot.place + position) % options_.repeats;
  return std::min(slot.size, position + options_.repeats - copy);
}

// Makes the samples [begin, end), and notes under the lock what became of them.
void Loader::finish_samples(Slot& slot, int64_t begin, int64_t end) {
  std::vector<Skip> skips;
  std::exception_ptr error;
  try {
    make_samples(slot, begin, end, skips);
  } catch (...) {
    error = std::current_exception();
  }
  bool last;
  {
    std::lock_guard lock(mutex_);
    slot.skips.insert(slot.skips.end(), skips.begin(), skips.end());
    if (error && (!slot.error || begin < slot.error_position)) {
      slot.error = error;
      slot.error_position = begin;
    }
    slot.finished += end - begin;
    last = slot.finished == slot.size;
  }
  if (last) done_.notify_all();
}

// Reads the image of the samples [begin, end), or the next readable one, and makes its copies.
void Loader::make_samples(Slot& slot, int64_t begin, int64_t end, std::vector<Skip>& skips) {
  const int64_t n = images_, place = slot.place + begin;
  int64_t index = options_.train
                      ? Permutation(n, options_.seed, uint64_t(epoch_))(place / options_.repeats)
                      : place;
  std::shared_ptr<const Image> image;
  LabelMap map;
  while (!image) {
    try {
      if (options_.labels) map = options_.labels->of(short_name(data_, index));
      image = read(index);
    } catch (const SystemError&) {
      throw;  // no image could be read now: none is broken
    } catch (const Error& e) {
      skips.push_back({begin, index, e.what()});
      const int64_t count = int64_t(skips.size());
      CHECK(count <= options_.max_bad && count < n, "loader: ", count,
            " images in a row could not be read, the last one: ", e.what());
      index = (index + 1) % n;
    }
  }
  for (int64_t position = begin; position < end; ++position)
    make_sample(slot, position, *image, map, index);
}

// Writes one sample to its place: a function of (seed, epoch, index, copy) and of nothing else.
void Loader::make_sample(Slot& slot, int64_t position, const Image& image, const LabelMap& map,
                         int64_t index) {
  const int64_t side = options_.transform.image_size;
  const int64_t copy = (slot.place + position) % options_.repeats;
  Batch& batch = slot.batch;
  uint8_t* pixels = batch.images.data<uint8_t>() + position * side * side * 3;
  if (options_.train) {
    const uint64_t epoch_and_copy = uint64_t(epoch_) | uint64_t(copy) << 32;
    Random random(options_.seed, Purpose::augment, epoch_and_copy, uint64_t(index));
    const TrainDraws draws = draw_train(image.width, image.height, options_.transform, random);
    batch.mirror.data<uint8_t>()[position] = train_pixels(image, options_.transform, draws, pixels);
    if (const auto& e = draws.erasing) {
      const std::array<int64_t, 5> row{e->box.x, e->box.y, e->box.width, e->box.height,
                                       int64_t(e->key)};
      std::copy(row.begin(), row.end(), batch.erase.data<int64_t>() + position * 5);
    }
    if (options_.labels) put_labels(slot, position, image, map, draws);
  } else {
    eval_pixels(image, options_.transform, pixels);
  }
  const int64_t label = data_.label(index);
  CHECK(label >= 0 && label < classes_, data_.name(index), ": has the label ", label, ", and ",
        data_.place(), " names ", classes_, " classes: labels are from 0 to ", classes_ - 1);
  batch.labels.data<int64_t>()[position] = label;
  batch.indices[size_t(position)] = index;
}

// Does to the map what was done to the photograph, and says where in it the crop lies.
void Loader::put_labels(Slot& slot, int64_t position, const Image& image, LabelMap map,
                        const TrainDraws& draws) {
  if (draws.mirror) map = mirrored(map);
  for (const AugmentStep& step : draws.steps)
    map = apply_step(step, map, image.width, image.height);
  std::array<double, 4> box = shares(draws.crop, image.width, image.height, options_.transform);
  if (options_.exchanged_axes) box = {box[1], box[0], box[3], box[2]};
  Batch& batch = slot.batch;
  const int64_t n = batch.label_values.numel() / slot.size;
  CHECK(int64_t(map.values.size()) == n && int64_t(map.classes.size()) == n,
        options_.labels->place(), ": a label map has ", map.values.size(), " numbers, expected ",
        n);
  std::copy(map.values.begin(), map.values.end(), batch.label_values.data<float>() + position * n);
  std::copy(map.classes.begin(), map.classes.end(),
            batch.label_classes.data<int32_t>() + position * n);
  std::copy(box.begin(), box.end(), batch.label_boxes.data<double>() + position * 4);
}

// The decoded image, from the cache if it is there. The lock is not held while a file is decoded:
// two threads may decode the same one, and the first to come back puts it into the cache.
std::shared_ptr<const Image> Loader::read(int64_t index) {
  if (!cache_.empty()) {
    std::lock_guard lock(cache_mutex_);
    if (cache_[size_t(index)]) return cache_[size_t(index)];
  }
  auto image = std::make_shared<const Image>(data_.image(index));
  const int64_t W = image->width, H = image->height, bytes = int64_t(image->rgb.size());
  // Divided, since the product of sides that are wrong may be too large for 64 bits.
  CHECK(W > 0 && H > 0 && bytes % 3 == 0 && bytes / 3 % W == 0 && bytes / 3 / W == H,
        data_.name(index), ": is said to be ", W, " x ", H, " and holds ", bytes,
        " bytes, expected 3 for each pixel");
  if (!cache_.empty()) {
    std::lock_guard lock(cache_mutex_);
    if (!cache_[size_t(index)] && cached_bytes_ + bytes <= options_.cache_bytes) {
      cache_[size_t(index)] = image;
      cached_bytes_ += bytes;
    }
  }
  return image;
}

std::optional<Batch> Loader::next() {
  CHECK(epoch_ >= 0, "loader: next() before start()");
  if (next_batch_ == batches_) return std::nullopt;
  auto began = std::chrono::steady_clock::now();
  if (threads_.empty()) {
    add_slot();
    Slot& slot = *ring_.front();
    int64_t begin = 0;
    while (begin < slot.size) {
      const int64_t end = end_of_copies(slot, begin);
      finish_samples(slot, begin, end);
      begin = end;
    }
  }
  std::unique_ptr<Slot> slot;
  {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return ring_.front()->finished == ring_.front()->size; });
    slot = std::move(ring_.front());
    ring_.pop_front();
  }
  ++next_batch_;
  if (!threads_.empty() && slots_made_ < batches_) {
    add_slot();
    work_.notify_all();
  }
  wait_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return hand_out(*slot);
}

// A finished batch, unless one of its images is an error. The skips came in as the threads
// finished; sorted, they name the bad images in the same order however many threads there are.
Batch Loader::hand_out(Slot& slot) {
  if (slot.error) std::rethrow_exception(slot.error);
  std::stable_sort(slot.skips.begin(), slot.skips.end(),
                   [](const Skip& a, const Skip& b) { return a.position < b.position; });
  for (const Skip& skip : slot.skips) {
    if (!bad_indices_.insert(skip.index).second) continue;
    const std::string name = data_.name(skip.index), prefix = printable(name) + ": ";
    const size_t named = skip.reason.starts_with(prefix) ? prefix.size() : 0;
    bad_.push_back({name, skip.reason.substr(named)});
    CHECK(int64_t(bad_.size()) <= options_.max_bad, "loader: more than ", options_.max_bad,
          " images could not be read, the last one: ", skip.reason,
          "; repair the data or raise --max-bad-images");
  }
  return std::move(slot.batch);
}

}  // namespace rmt::data
