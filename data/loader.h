// Batches of a dataset, made by threads ahead of their use. Every sample is a function of (seed,
// epoch, index, copy) and has its place in its batch, so neither the number of threads nor their
// timing can change a byte, and a run resumes in mid-epoch by naming the next batch.
#pragma once
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "data/batches.h"
#include "data/dataset.h"
#include "data/images/mixup.h"
#include "data/labels/label_maps.h"

namespace rmt::data {

// Repeated augmentation (Hoffer et al., 2020) as DeiT's RASampler and timm's RepeatAugSampler do
// it: each image of the epoch's order comes `repeats` times, one after the other and each time
// changed by other chances, and the epoch ends after floor(N / 256) * 256 samples (N below 256):
// 1,281,024 for ImageNet's 1,281,167 images, of which three repeats show a third. Mixup differs a
// little: a sample's partner is its mirror image in the batch, so the copies of an image meet those
// of one or two others, and in the middle of the batch at most `repeats` samples meet their own
// image; with those samplers a process has every W-th sample, and where W >= repeats it never pairs
// an image with itself.
int64_t samples_an_epoch(int64_t images, int64_t repeats);

// Several processes share an epoch. Its order is cut into parts of batch_size samples, the batches
// that one process would have. R processes take R of them at a time, a global batch, one each:
//
//   part        | 0 | 1 | 2 | 3 | 4 | 5 | ...
//   of rank       0   1   2   0   1   2           R = 3
//
// Part p is the same whoever makes it, Mixup and CutMix included, which mix inside a part by
// numbers that belong to p. So R processes with A batches a step see what one process sees with R A
// batches a step; the a-th batch of rank r begins at sample (a R + r) batch_size of the step. An
// epoch ends with its last whole global batch. DeiT's and timm's samplers deal out a sample to each
// process in turn: a step sees the same samples, divided otherwise.
//
// In evaluation each process has a run of neighbouring parts, as many as the others or one less or
// none, and no image comes twice.
struct LoaderOptions {
  int64_t batch_size = 128;     // of one process
  int64_t rank = 0, ranks = 1;  // which of how many processes this is
  int workers = 2;              // 0: next() does the work itself
  uint64_t seed = 0;
  // Training: shuffled and augmented, the last batch dropped if it is not full. Evaluation: in
  // order, centre crops, all of them.
  bool train = true;
  std::optional<bool> drop_last;  // unset: as train
  int64_t repeats = 1;            // training: of each image, see samples_an_epoch()
  int64_t max_bad = 100;          // so many unreadable files are replaced; one more is an error
  bool pinned = false;            // batches lie in pinned memory (core/cuda/pinned.h), for a GPU
  int64_t cache_bytes = int64_t(1) << 30;  // decoded images are kept in memory up to this much
  TransformOptions transform;
  MixOptions mix;  // training: which batches are mixed; their size is even
  // Training with token labels: the map of every image, which must outlive the loader; an image
  // without a sound one is a bad image. Needs transform.augment_first.
  const LabelMaps* labels = nullptr;
  // Crops are looked up in the map with rows and columns exchanged, as the published code does
  // (data/labels/README.md, "The order of the axes").
  bool exchanged_axes = false;
};

class Loader final : public Batches {
 public:
  Loader(const Dataset& data, const LoaderOptions& options);  // the data must outlive the loader
  ~Loader() override;
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  void start(int64_t epoch, int64_t first_batch = 0) override;
  std::optional<Batch> next() override;
  int64_t batches() const override { return batches_; }
  double wait_seconds() const override { return wait_seconds_; }
  const std::vector<BadImage>& bad() const override { return bad_; }

 private:
  struct Skip {  // a bad image met at a position of a batch
    int64_t position, index;
    std::string reason;
  };
  struct Slot;  // a batch in the making

  void count_batches();
  void stop();
  void work();
  void add_slot();
  int64_t end_of_copies(const Slot& slot, int64_t position) const;
  void finish_samples(Slot& slot, int64_t begin, int64_t end);
  void make_samples(Slot& slot, int64_t begin, int64_t end, std::vector<Skip>& skips);
  void make_sample(Slot& slot, int64_t position, const Image& image, const LabelMap& map,
                   int64_t index);
  void put_labels(Slot& slot, int64_t position, const Image& image, LabelMap map,
                  const TrainDraws& draws);
  std::shared_ptr<const Image> read(int64_t index);
  Batch hand_out(Slot& slot);

  const Dataset& data_;
  const LoaderOptions options_;
  int64_t images_ = 0, classes_ = 0;  // of the data set
  int64_t samples_ = 0, batches_ = 0, epoch_ = -1, next_batch_ = 0;
  // This process's batches are parts first_part_, first_part_ + part_step_, ... of the epoch, which
  // have batch_size samples each.
  int64_t first_part_ = 0, part_step_ = 1;
  double wait_seconds_ = 0;
  std::vector<BadImage> bad_;
  std::set<int64_t> bad_indices_;

  std::vector<std::thread> threads_;
  std::mutex mutex_;  // guards quit_, ring_ and the counts in its slots
  std::condition_variable work_, done_;
  std::deque<std::unique_ptr<Slot>> ring_;  // the next batches, in order
  int64_t slots_made_ = 0;                  // the number that the next slot's batch gets
  bool quit_ = false;

  std::mutex cache_mutex_;  // guards the cache: by index, null where not kept
  std::vector<std::shared_ptr<const Image>> cache_;
  int64_t cached_bytes_ = 0;
};

}  // namespace rmt::data
