// Batches of annotated images, of sizes that differ, made by threads ahead of their use. As with
// the classifier's loader (loader.h) every sample is a function of (seed, epoch, place in the
// epoch), so neither the number of threads nor their timing can change a byte.
#pragma once
#include <memory>
#include <set>

#include "data/ahead.h"
#include "data/annotated.h"
#include "data/batches.h"

namespace rmt::data {

struct AnnotatedLoaderOptions {
  int64_t batch_size = 2;       // of one process; evaluation takes images one by one
  int64_t rank = 0, ranks = 1;  // which of how many processes this is (loader.h, LoaderOptions)
  int workers = 2;              // 0: next() does the work itself
  uint64_t seed = 0;
  bool train = true;   // shuffled, the last batch dropped if it is not full; else all, in order
  int64_t passes = 1;  // training: an epoch shows every image so many times
  // Training: a batch holds only images that are wider than high, or only others, so that little is
  // padded; the last batch of either kind is filled with repeats, and none is dropped.
  bool group_by_shape = false;
  int64_t max_bad = 100;   // so many unreadable files are replaced; one more is an error
  bool pinned = false;     // batches lie in pinned memory (core/cuda/pinned.h), for a GPU
  int64_t least_side = 0;  // training: batches are padded to this size at least,
  int64_t multiple = 1;    // and to multiples of this
};

// Samples side by side, padded to one size: `least` at least and multiples of `multiple`. Labels of
// several samples are padded alike; of one sample they keep their size, which in evaluation is the
// photograph's.
Batch batch_of(std::vector<Sample>& samples, int64_t least, int64_t multiple);

class AnnotatedLoader final : public Batches {
 public:
  // The data must outlive the loader.
  AnnotatedLoader(const AnnotatedSet& data, const Pipeline& pipeline,
                  const AnnotatedLoaderOptions& options);
  AnnotatedLoader(const AnnotatedLoader&) = delete;
  AnnotatedLoader& operator=(const AnnotatedLoader&) = delete;

  void start(int64_t epoch, int64_t first_batch = 0) override;
  // After an error it begins again by start().
  std::optional<Batch> next() override;
  int64_t batches() const override { return batches_; }
  double wait_seconds() const override { return wait_seconds_; }
  const std::vector<BadImage>& bad() const override { return bad_; }

  // The images of an epoch in the order of its batches, those of all processes, one batch behind
  // the other.
  std::vector<int64_t> order(int64_t epoch) const;

 private:
  struct Made {
    Sample sample;
    int64_t index = 0;                                     // the image that it shows
    std::vector<std::pair<int64_t, std::string>> skipped;  // unreadable ones before it, and why
  };
  Made make(int64_t epoch, int64_t place, int64_t index) const;
  Batch next_batch();
  void note_bad(const Made& made);

  const AnnotatedSet& data_;
  Pipeline pipeline_;
  AnnotatedLoaderOptions options_;
  int64_t batches_, first_part_ = 0, part_step_ = 1;
  std::vector<int64_t> order_;  // of the epoch
  int64_t next_batch_ = 0;
  std::unique_ptr<Ahead<Made>> samples_;
  double wait_seconds_ = 0;
  std::vector<BadImage> bad_;
  std::set<int64_t> bad_indices_;
};

}  // namespace rmt::data
