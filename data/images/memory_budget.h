// How much memory all decoders of the process hold together. A worker has one image at a time, so
// that workers that read photographs need little; but a file may claim 100 million pixels, and then
// a gigabyte each for thirty-two workers is more than most machines have. So each decoder takes its
// share first and waits while there is none.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace rmt::data {

class MemoryBudget {
 public:
  explicit MemoryBudget(size_t bytes) : limit_(bytes) {}

  // Waits until `bytes` are left, or until nobody holds any: one share larger than all there is
  // goes alone. Served in the order in which they ask, so that a large one gets its turn. Nobody
  // waits for ever, provided that who holds a share does not ask for another.
  class Share {
   public:
    Share(MemoryBudget& budget, size_t bytes) : budget_(budget), bytes_(bytes) {
      std::unique_lock lock(budget_.mutex_);
      const uint64_t ticket = budget_.tickets_++;
      budget_.changed_.wait(lock, [&] {
        return ticket == budget_.served_ &&
               (budget_.held_ == 0 || budget_.held_ + bytes_ <= budget_.limit_);
      });
      budget_.held_ += bytes_;
      ++budget_.served_;
      budget_.changed_.notify_all();
    }
    ~Share() {
      std::lock_guard lock(budget_.mutex_);
      budget_.held_ -= bytes_;
      budget_.changed_.notify_all();
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

   private:
    MemoryBudget& budget_;
    size_t bytes_;
  };

  // How many are waiting now.
  uint64_t waiting() {
    std::lock_guard lock(mutex_);
    return tickets_ - served_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t limit_, held_ = 0;
  uint64_t tickets_ = 0, served_ = 0;
};

}  // namespace rmt::data
