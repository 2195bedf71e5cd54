// The processes that train one model together. Each runs the same program with its own part of the
// images; whatever they must agree on goes through here.
//
//   rank 0   g0 --+
//   rank 1   g1 --+--> all_reduce:  g = (g0 + g1) + g2, in every process
//   rank 2   g2 --+
//
// All processes make the same calls in the same order, with tensors of the same shape, dtype and
// device; a call returns when its result is there. On a GPU that is, as for every op, when it is
// queued behind what was launched before. A process that stays away, or dies, ends all of them
// (README.md). Calls come from one thread.
//
// A sum is taken in the order of the ranks: all processes, and every run, get the same bits.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "core/tensor.h"

namespace rmt {

// Seconds after which a process that gives no sign of life ends all, unless told otherwise.
constexpr double kProcessTimeout = 20;

// What a process has spent on the others so far.
struct Traffic {
  double seconds = 0;  // in which a call was on its way
  double waited = 0;   // of them those in which the program did nothing else
  double hidden() const { return waited < seconds ? 1 - waited / seconds : seconds > 0 ? 0 : 1; }
};

class Processes {
 public:
  virtual ~Processes() = default;
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  int64_t rank() const { return rank_; }  // 0 <= rank < size
  int64_t size() const { return size_; }
  bool is_first() const { return rank_ == 0; }  // the one that writes and prints

  // x <- x_0 + x_1 + ... in place. f32, f64, i32 or i64.
  void all_reduce(const Tensor& x);
  // The same, begun: it goes on while the caller computes. Nobody may touch x until wait() has
  // returned, which waits for every sum that was begun. Other calls may come between the two.
  void start_all_reduce(const Tensor& x);
  void wait();
  // x <- x of the process `root`, in place. Any dtype.
  void broadcast(const Tensor& x, int64_t root = 0);
  // (size, ...): the processes' x, in the order of ranks, on x's device. Any dtype.
  Tensor all_gather(const Tensor& x);
  // Returns when all processes have called it.
  void barrier();

  // May calls with tensors on the GPU stand in a recorded graph (core/cuda/graph.h)?
  virtual bool recordable() const { return true; }
  virtual void set_timeout(double) {}  // instead of kProcessTimeout
  virtual Traffic traffic() { return {}; }
  // Ends all processes with exit status 1, after `message` was printed once, by whichever process
  // comes first. Does not return, unless there is one process alone.
  virtual void fail(const std::string& message);

 protected:
  Processes(int64_t rank, int64_t size) : rank_(rank), size_(size) {}

 private:
  // As above, for more than one process and tensors that have elements.
  virtual void do_start_all_reduce(const Tensor& x) = 0;
  virtual void do_wait() = 0;
  virtual void do_broadcast(const Tensor& x, int64_t root) = 0;
  virtual void do_all_gather(const Tensor& x, const Tensor& all) = 0;
  virtual void do_barrier() = 0;

  int64_t rank_, size_;
};

// The only process of a run: rank 0 of 1. Every call returns at once.
Processes& alone();

}  // namespace rmt
