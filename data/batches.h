// Where a run's batches come from: made by threads ahead of their use, epoch by epoch. loader.h
// makes those of a classifier, annotated_loader.h those of segmentation and detection.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "data/batch.h"

namespace rmt::data {

// An image that could not be read, and why. What the system refuses to every file, such as one more
// descriptor, makes none bad: next() throws it, a SystemError.
struct BadImage {
  std::string path, reason;
};

class Batches {
 public:
  virtual ~Batches() = default;
  // Begins an epoch at one of its batches, dropping what was under way.
  virtual void start(int64_t epoch, int64_t first_batch = 0) = 0;
  // The epoch's next batch; nothing after the last. An unreadable image is replaced by the next
  // readable one.
  virtual std::optional<Batch> next() = 0;
  virtual int64_t batches() const = 0;      // of this process, in a whole epoch
  virtual double wait_seconds() const = 0;  // spent in next() since start()
  // The unreadable images of the batches handed out so far, each file once, in order of appearance.
  virtual const std::vector<BadImage>& bad() const = 0;
};

}  // namespace rmt::data
