#include "core/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "core/error.h"

namespace rmt {
namespace {

thread_local bool inside = false;  // this thread is running a piece

// Tells the processor that the thread turns in a waiting loop.
void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// One call of parallel_for. A worker that wakes late may hold it after the call has returned, and
// finds no piece left: f lives as long as claimed pieces do, not as long as the Job.
struct Job {
  const std::function<void(int64_t, int64_t)>* f;
  int64_t n, grain, pieces;
  std::atomic<int64_t> next{0};  // piece that nobody has claimed
  std::atomic<int64_t> done{0};  // pieces that have ended
  std::atomic<bool> failed{false};
  std::exception_ptr error;

  Job(const std::function<void(int64_t, int64_t)>& body, int64_t count, int64_t step)
      : f(&body), n(count), grain(step), pieces((count + step - 1) / step) {}

  // Claims pieces until none is left.
  void work() {
    inside = true;
    for (;;) {
      const int64_t piece = next.fetch_add(1);
      if (piece >= pieces) break;
      try {
        (*f)(piece * grain, std::min(n, (piece + 1) * grain));
      } catch (...) {
        if (!failed.exchange(true)) error = std::current_exception();
      }
      done.fetch_add(1);
    }
    inside = false;
  }
};

// Threads that take pieces of the one current job. The caller works too and waits for claimed
// pieces only, never for a sleeping worker.
class Workers {
 public:
  explicit Workers(int n) { resize(n); }
  ~Workers() { stop(); }
  int size() const { return size_; }

  void resize(int n) {
    std::lock_guard use(use_);
    stop();
    quit_ = false;
    try {
      for (int i = 1; i < n; ++i)
        threads_.emplace_back([this, seen = ticket_.load()] { loop(seen); });
    } catch (const std::system_error&) {
      // A limit of the system (ulimit -u, memory for stacks): those that started do the work.
    }
    size_ = int(threads_.size()) + 1;
  }

  // False when another thread's job is running: then the caller does its own alone.
  bool run(const std::shared_ptr<Job>& job) {
    std::unique_lock use(use_, std::try_to_lock);
    if (!use) return false;
    post(job);
    job->work();
    int spins = 0;
    while (job->done.load(std::memory_order_acquire) < job->pieces) {
      ++spins;
      if (spins < kSpins)
        relax();
      else
        std::this_thread::yield();
    }
    return true;
  }

 private:
  // Loops come microseconds apart in a training step, so a worker looks for the next one a while
  // before it sleeps.
  static constexpr int kSpins = 4000;

  void post(std::shared_ptr<Job> job) {
    {
      std::lock_guard lock(mutex_);
      job_ = std::move(job);
      ++ticket_;
    }
    wake_.notify_all();
  }

  // A worker's life: wait for a ticket that it has not seen, work on the job that came with it.
  void loop(uint64_t seen) {
    for (;;) {
      for (int i = 0; i < kSpins && ticket_.load(std::memory_order_acquire) == seen; ++i) relax();
      std::shared_ptr<Job> job;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return ticket_ != seen; });
        seen = ticket_;
        job = job_;
      }
      if (quit_) return;
      job->work();
    }
  }

  void stop() {
    quit_ = true;
    post(nullptr);
    for (std::thread& t : threads_) t.join();
    threads_.clear();
  }

  std::mutex use_;    // held by the thread whose job it is, while the job runs
  std::mutex mutex_;  // guards job_, and ticket_ for those that sleep
  std::condition_variable wake_;
  std::atomic<uint64_t> ticket_{0};  // counts the jobs: a worker compares it with the last it saw
  std::atomic<int> size_{1};
  std::atomic<bool> quit_{false};
  std::shared_ptr<Job> job_;
  std::vector<std::thread> threads_;
};

int default_threads() {
  if (const char* text = std::getenv("RMT_THREADS")) {
    int n = std::atoi(text);
    CHECK(n >= 1, "RMT_THREADS=", text, " is not a number of threads: give 1 or more");
    return n;
  }
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0
             ? CPU_COUNT(&set)
             : int(std::max(1u, std::thread::hardware_concurrency()));
}

Workers& workers() {
  static Workers w(default_threads());
  return w;
}

}  // namespace

void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& f) {
  if (n <= 0) return;
  CHECK(grain > 0, "parallel_for: grain ", grain, " must be positive");
  if (!inside && n > grain && threads() > 1) {
    auto job = std::make_shared<Job>(f, n, grain);
    if (workers().run(job)) {
      if (job->error) std::rethrow_exception(job->error);
      return;
    }
  }
  for (int64_t b = 0; b < n; b += grain) f(b, std::min(n, b + grain));
}

int threads() { return workers().size(); }

void set_threads(int n) {
  CHECK(n >= 1 && n <= 1024, "threads: ", n, " is not between 1 and 1024");
  if (n != threads()) workers().resize(n);
}

}  // namespace rmt
