// Numbered things, made by threads ahead of their use and handed out in order.
#pragma once
#include <pthread.h>

#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "core/error.h"

namespace rmt::data {

// make(i) of the numbers i in [first, end), each made once, by whichever thread is free; so it must
// be a function of i alone. At most `window` of them are kept. With no thread next() makes them.
template <class T>
class Ahead {
 public:
  Ahead(int64_t first, int64_t end, int threads, int64_t window, std::function<T(int64_t)> make)
      : next_(first), taken_(first), end_(end), window_(window), make_(std::move(make)) {
    // A new thread inherits this one's signal mask: every signal goes to the thread that trains.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
      // No more threads to be had: those that started do the work, or, where none did, next().
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  ~Ahead() {
    {
      std::lock_guard lock(mutex_);
      quit_ = true;
    }
    work_.notify_all();
    for (std::thread& t : threads_) t.join();
  }
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

  // The next one; throws what make() threw, and the one behind it comes then. Error when all have
  // been asked for.
  T next() {
    CHECK(next_ < end_, "ahead: all ", end_, " have been handed out");
    if (threads_.empty()) return make_(next_++);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return !ring_.empty() && ring_.front().finished; });
    Slot slot = std::move(ring_.front());
    ring_.pop_front();
    ++next_;
    lock.unlock();
    work_.notify_all();
    if (slot.error) std::rethrow_exception(slot.error);
    return std::move(*slot.value);
  }

 private:
  struct Slot {
    std::optional<T> value;
    std::exception_ptr error;
    bool finished = false;
  };

  // A thread's life: take the first number that nobody has taken, make it, repeat.
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      work_.wait(lock, [&] { return quit_ || (taken_ < end_ && taken_ < next_ + window_); });
      if (quit_) return;
      const int64_t i = taken_++;
      ring_.emplace_back();
      lock.unlock();
      Slot made;
      try {
        made.value = make_(i);
      } catch (...) {
        made.error = std::current_exception();
      }
      made.finished = true;
      lock.lock();
      ring_[size_t(i - next_)] = std::move(made);
      done_.notify_all();
    }
  }

  int64_t next_, taken_, end_, window_;
  std::function<T(int64_t)> make_;
  std::mutex mutex_;
  std::condition_variable work_, done_;
  std::deque<Slot> ring_;  // of the numbers next_ ... taken_ - 1
  std::vector<std::thread> threads_;
  bool quit_ = false;
};

}  // namespace rmt::data
