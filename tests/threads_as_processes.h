// Processes for a test that cannot start any: threads of one process, which meet at a barrier for
// each call. One runs at a time, until it waits for the others: so they may share what knows no
// second thread, such as the emulated GPU.
#pragma once
#include <condition_variable>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/processes/processes.h"

namespace rmt::test {

class Meeting {
 public:
  explicit Meeting(int64_t threads) : size(threads), x(size_t(threads)) {}
  // What the thread that runs holds.
  std::unique_lock<std::mutex> turn() { return std::unique_lock<std::mutex>(mutex_); }
  // Until all have come; the others run meanwhile. Throws where one of them has gone for good.
  void meet(std::unique_lock<std::mutex>& turn) {
    const int64_t mine = round_;
    if (++here_ == size) {
      here_ = 0;
      ++round_;
      all_.notify_all();
    }
    all_.wait(turn, [&] { return round_ != mine || gone_; });
    CHECK(round_ != mine, "another thread has ended");
  }
  void leave() {
    gone_ = true;
    all_.notify_all();
  }
  void begin() {  // before any thread runs
    here_ = 0;
    gone_ = false;
    error = nullptr;
  }

  const int64_t size;
  std::vector<Tensor> x;     // of each thread, while they meet
  std::exception_ptr error;  // the first one's

 private:
  std::mutex mutex_;
  std::condition_variable all_;
  int64_t here_ = 0, round_ = 0;
  bool gone_ = false;
};

class ThreadAsProcess : public Processes {
 public:
  ThreadAsProcess(int64_t rank, Meeting& meeting)
      : Processes(rank, meeting.size), meeting_(meeting) {}
  // f, by a thread of its own, when it is this one's turn.
  void run(const std::function<void(Processes&)>& f) {
    turn_ = meeting_.turn();
    try {
      f(*this);
    } catch (...) {
      if (!meeting_.error) meeting_.error = std::current_exception();
    }
    meeting_.leave();
    turn_.unlock();
  }

 private:
  // x is no number until wait(): who reads it too early, notices.
  void do_start_all_reduce(const Tensor& x) override {
    Tensor sum;
    show(x, [&](const std::vector<Tensor>& of) {
      sum = of[0].clone();
      for (size_t r = 1; r < of.size(); ++r) sum.add_from(of[r]);
    });
    if (is_float(x.dtype())) x.fill(std::numeric_limits<double>::quiet_NaN());
    begun_.push_back({x, sum});
  }
  void do_wait() override {
    for (auto& [x, sum] : begun_) x.copy_from(sum);
    begun_.clear();
  }
  void do_broadcast(const Tensor& x, int64_t root) override {
    Tensor copy;
    show(x, [&](const std::vector<Tensor>& of) { copy = of[size_t(root)].clone(); });
    x.copy_from(copy);
  }
  void do_all_gather(const Tensor& x, const Tensor& all) override {
    show(x, [&](const std::vector<Tensor>& of) {
      for (int64_t r = 0; r < size(); ++r) all.slice(r, r + 1).copy_from(of[size_t(r)]);
    });
  }
  void do_barrier() override { meeting_.meet(turn_); }

  // Lets f see every thread's x, all of which stay as they are meanwhile.
  void show(const Tensor& x, const std::function<void(const std::vector<Tensor>&)>& f) {
    meeting_.x[size_t(rank())] = x.detach();
    meeting_.meet(turn_);
    f(meeting_.x);
    meeting_.meet(turn_);
  }

  Meeting& meeting_;
  std::unique_lock<std::mutex> turn_;
  std::vector<std::pair<Tensor, Tensor>> begun_;
};

// Processes that stay, for a test that runs them more than once.
class ThreadsAsProcesses {
 public:
  explicit ThreadsAsProcesses(int64_t size) : meeting_(size) {
    for (int64_t rank = 0; rank < size; ++rank)
      processes_.push_back(std::make_unique<ThreadAsProcess>(rank, meeting_));
  }
  // f in every process. Throws what one of them threw.
  void run(const std::function<void(Processes&)>& f) {
    meeting_.begin();
    std::vector<std::thread> threads;
    for (auto& process : processes_) threads.emplace_back([&] { process->run(f); });
    for (std::thread& thread : threads) thread.join();
    if (meeting_.error) std::rethrow_exception(meeting_.error);
  }

 private:
  Meeting meeting_;
  std::vector<std::unique_ptr<ThreadAsProcess>> processes_;
};

// Runs f in `size` threads, each of which is a process. Throws what one of them threw.
inline void run_as_processes(int64_t size, const std::function<void(Processes&)>& f) {
  ThreadsAsProcesses(size).run(f);
}

}  // namespace rmt::test
