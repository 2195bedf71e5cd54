// The machine that runs a launch: fibers, the scheduler of a block, barriers and warp collectives,
// shared memory.
#include "core/cuda/emulator/emulator.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <utility>
#include <vector>

#include "core/cuda/emulator/parts.h"

#if !defined(__x86_64__) || defined(RMT_EMULATOR_UCONTEXT)
#define RMT_UCONTEXT 1
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

#ifndef RMT_UCONTEXT
// Saves what a call must preserve on the stack, and the stack's top in *save; then the same
// backwards on the other stack.
extern "C" void rmt_emulator_switch(void** save, void* load);
asm(R"(
  .text
  .p2align 4
  .globl rmt_emulator_switch
  .type rmt_emulator_switch, @function
rmt_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size rmt_emulator_switch, .-rmt_emulator_switch
)");
#endif

namespace rmt::emulator {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackBytes = 256 << 10;  // its frames are large
#else
constexpr size_t kStackBytes = 64 << 10;
#endif
constexpr int kMaxThreads = 1024, kMaxWarps = kMaxThreads / 32;

std::string str_of(dim3 v) { return str("(", v.x, ", ", v.y, ", ", v.z, ")"); }
std::string str_of(const Site& at) { return str(at.file_name(), ":", at.line()); }
bool same(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         !std::strcmp(a.file_name(), b.file_name());
}

// --- shared memory: one arena for the block that runs ---

class SharedMemory {
 public:
  void begin_block(size_t dynamic) {
    unpoison(arena_, used_);
    arrays_.clear();
    static_bytes_ = used_ = 0;
    add(nullptr, 0, 128);  // for its gap, which lies before the dynamic part
    add(nullptr, dynamic_ = dynamic, 128);
  }

  void* array(const void* key, size_t bytes) {
    for (const Array& a : arrays_)
      if (a.key == key) return a.p;
    static_bytes_ += bytes;
    // As on hardware: beyond 48 KiB only for launches that opted in, which launch() does when the
    // dynamic part alone needs it.
    const size_t most = dynamic_ > kStaticShared ? kMaxShared : kStaticShared;
    if (static_bytes_ > kStaticShared || static_bytes_ + dynamic_ > most)
      fail(str("too much shared memory: ", static_bytes_, " bytes in static arrays and ", dynamic_,
               " dynamic; at most ", kStaticShared, " static and ", most, " in all"));
    return add(key, bytes, 16);
  }

  void* dynamic() { return arrays_[1].p; }

  bool contains(const void* p, size_t n) const {
    for (const Array& a : arrays_)
      if (p >= a.p && static_cast<const char*>(p) + n <= a.p + a.bytes) return true;
    return false;
  }

  std::string damage() {
    for (const Array& a : arrays_) {
      const int64_t at = gap_damage(a.p + a.bytes, a.end - a.p - a.bytes);
      if (at < 0) continue;
      if (&a == &arrays_[0])
        return str("write outside shared memory: ", kGap - at, " bytes before the dynamic part");
      return str("write outside shared memory: ", at, " bytes behind the end of ",
                 a.key ? "a static array" : "the dynamic part", " of ", a.bytes, " bytes");
    }
    return {};
  }

 private:
  struct Array {
    const void* key;
    char* p;
    size_t bytes;
    char* end;  // of the gap behind it
  };

  void* add(const void* key, size_t bytes, size_t align) {
    char* p = arena_ + (used_ + align - 1) / align * align;
    char* end = arena_ + (size_t(p - arena_) + bytes + kGap + 15) / 16 * 16;
    if (end > arena_ + sizeof arena_) fail("too many arrays in shared memory");
    std::memset(p, kFresh, bytes);
    make_gap(p + bytes, end - p - bytes);
    arrays_.push_back({key, p, bytes, end});
    used_ = end - arena_;
    return p;
  }

  alignas(128) char arena_[kMaxShared + kStaticShared + 128 * kGap];
  size_t used_ = 0, static_bytes_ = 0, dynamic_ = 0;
  std::vector<Array>
      arrays_;  // an empty one, the dynamic part, the static arrays in the order of first use
};

// --- fibers ---

struct Fiber {
  char* stack = nullptr;  // null: the host's own
  size_t bytes = 0;
  void* top = nullptr;         // while it does not run
  void* fake_stack = nullptr;  // ASan's
#ifdef RMT_UCONTEXT
  ucontext_t context;
#endif
};

// --- the block that runs ---

struct Group {  // lanes that wait in one warp collective
  const char* what;
  uint32_t mask, arrived;
  Finish finish;
  Site at;
};

struct Warp {
  uint32_t live = 0, ready = 0, in_barrier = 0;  // lanes
  int groups = 0;
  Group group[32];
};

struct Stop : Error {  // unwinds the fiber that found an error
  using Error::Error;
};

struct Thread {
  uint3 index;
  Fiber* fiber = nullptr;  // null: not begun, or exited
  const char* what;        // it waits in, where
  Site at;
  void* record;  // of a warp collective
};

uint32_t first(int n) { return n >= 32 ? ~0u : (1u << n) - 1; }
int lowest(uint32_t set) { return std::countr_zero(set); }
int highest(uint32_t set) { return 31 - std::countl_zero(set); }
int above(uint32_t set, int i) {
  return lowest(set & ~first(i + 1) ? set & ~first(i + 1) : set);
}  // the next member, cyclically
int below(uint32_t set, int i) { return highest(set & first(i) ? set & first(i) : set); }

class Machine {
 public:
  SharedMemory shared;

  bool in_kernel() const { return running_ != &host_; }
  int64_t block_serial() const { return serial_; }
  int thread_index() const { return int(current_ - threads_); }
  uint32_t live_lanes() const { return warps_[thread_index() / 32].live; }

  void run(const Work& work) {
    work_ = &work;
    order_ = settings().order;
    random_ = settings().seed * 0x9e3779b97f4a7c15 + uint64_t(counters().launches++);
    gridDim = work.grid;
    blockDim = work.block;
    count_ = int(work.block.x * work.block.y * work.block.z);
    for (int i = 0; i < count_; ++i)
      threads_[i].index = {unsigned(i) % blockDim.x, unsigned(i) / blockDim.x % blockDim.y,
                           unsigned(i) / blockDim.x / blockDim.y};
    const uint64_t blocks = uint64_t(work.grid.x) * work.grid.y * work.grid.z;
    uint64_t stride = order_ == Order::random ? 1 + random() % blocks : 1;
    while (std::gcd(stride, blocks) != 1)
      stride = 1 + random() % blocks;  // then i * stride + start visits each block once
    const uint64_t start = order_ == Order::random ? random() % blocks : 0;
    const bool backward = order_ == Order::fair_reverse || order_ == Order::greedy_descending;
    for (uint64_t i = 0; i < blocks; ++i)
      run_block(backward ? blocks - 1 - i : uint64_t((__uint128_t(i) * stride + start) % blocks));
  }

  int barrier(const char* what, bool predicate, const Site& at) {
    Warp& warp = wait(what, at);
    warp.in_barrier |= bit();
    if (arrived_++ == 0) first_ = current_;
    mixed_ |= !same(at, first_->at);
    votes_ += predicate;
    if (arrived_ == count_) {
      if (mixed_) throw Stop(block_report("divergent barrier"));
      result_ = std::exchange(votes_, 0);
      arrived_ = 0;
      for (int w = 0; w < kMaxWarps; ++w) wake(w, std::exchange(warps_[w].in_barrier, 0));
      restart_cursor();
    }
    go(pick());
    return result_;  // stays until the next barrier, to which this thread has not come
  }

  void collective(const char* what, uint32_t mask, Finish finish, void* record, const Site& at) {
    if (!(mask & bit()))
      fail(str(what, ": lane ", thread_index() % 32, " is not in its own mask ", hex(mask), ", at ",
               str_of(at)));
    Warp& warp = wait(what, at);
    current_->record = record;
    Group* group = nullptr;
    for (int i = 0; i < warp.groups && !group; ++i) {
      Group& g = warp.group[i];
      if (!(g.mask & bit()) || !(g.arrived & mask)) continue;  // they do not wait for each other
      if (g.mask != mask || g.finish != finish || !same(g.at, at))
        throw Stop(
            block_report(str("warp lanes that wait for each other in different calls: lane ",
                             thread_index() % 32, " came to ", what, " with mask ", hex(mask),
                             " at ", str_of(at), ", where lanes ", hex(g.arrived), " wait in ",
                             g.what, " with mask ", hex(g.mask), " at ", str_of(g.at))));
      group = &g;
    }
    if (!group) *(group = &warp.group[warp.groups++]) = {what, mask, 0, finish, at};
    group->arrived |= bit();
    if (!release_if_complete(warp, *group)) go(pick());
  }

  [[noreturn]] void fail(const std::string& message) {
    throw Stop(str("thread ", str_of(current_->index), ": ", message));
  }

  // What every fiber does for ever: run the current thread to its end, then go to whoever comes
  // next. One that has not begun begins on this same stack.
  [[noreturn]] void work() {
    after_switch();
    for (;;) {
      const bool completed = run_thread();
      idle_.push_back(running_);
      go(completed ? pick() : nullptr);
    }
  }

 private:
  static std::string hex(uint32_t mask) {
    char text[16];
    std::snprintf(text, sizeof text, "0x%08x", mask);
    return text;
  }

  uint64_t random() {  // splitmix64
    uint64_t z = random_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  void run_block(uint64_t b) {
    blockIdx = {unsigned(b % gridDim.x), unsigned(b / gridDim.x % gridDim.y),
                unsigned(b / gridDim.x / gridDim.y)};
    ++counters().blocks;
    ++serial_;
    shared.begin_block(work_->shared);
    arrived_ = votes_ = 0;
    mixed_ = false;
    live_ = count_;
    ready_ = 0;
    for (int w = 0; w < kMaxWarps; ++w) {
      warps_[w].groups = 0;
      warps_[w].ready = warps_[w].in_barrier = 0;
      wake(w, warps_[w].live = count_ > 32 * w ? first(count_ - 32 * w) : 0);
    }
    restart_cursor();
    go(pick());
    if (error_.empty()) error_ = shared.damage();
    if (error_.empty()) return;
    abandon();
    throw Error(str("emulator: kernel ", work_->kernel, ", block ", str_of(blockIdx), ": ",
                    std::exchange(error_, {})));
  }

  // Nothing is thrown beyond a fiber's end.
  bool run_thread() {
    try {
      work_->body();
      exit_thread();
      return true;
    } catch (const Stop& stop) {
      error_ = stop.what();
    } catch (const std::exception& e) {
      error_ = str("thread ", str_of(current_->index), ": thrown in the kernel: ", e.what());
    } catch (...) {
      error_ = str("thread ", str_of(current_->index), ": something thrown in the kernel");
    }
    return false;
  }

  void exit_thread() {
    Warp& warp = warps_[thread_index() / 32];
    sleep();
    warp.live &= ~bit();
    --live_;
    current_->fiber = nullptr;
    for (int i = warp.groups; i-- > 0;) release_if_complete(warp, warp.group[i]);
  }

  // --- who is ready ---

  uint32_t bit() const { return 1u << (thread_index() % 32); }

  void sleep() {
    const int w = thread_index() / 32;
    if (!(warps_[w].ready &= ~bit())) ready_ &= ~(1u << w);
  }

  void wake(int w, uint32_t lanes) {
    if (warps_[w].ready |= lanes) ready_ |= 1u << w;
  }

  Warp& wait(const char* what, const Site& at) {
    sleep();
    current_->what = what;
    current_->at = at;
    return warps_[thread_index() / 32];
  }

  bool release_if_complete(Warp& warp, Group& group) {
    const uint32_t arrived = group.arrived;
    if (group.mask & warp.live & ~arrived) return false;
    const int w = int(&warp - warps_);
    void* record[32] = {};
    for (uint32_t rest = arrived; rest; rest &= rest - 1)
      record[lowest(rest)] = threads_[32 * w + lowest(rest)].record;
    group.finish(record);
    group = warp.group[--warp.groups];
    wake(w, arrived);
    return true;
  }

  bool upward() const { return order_ == Order::fair_forward || order_ == Order::greedy_ascending; }
  void restart_cursor() { warp_ = lane_ = upward() ? 31 : 0; }

  // The next thread to run; null for the host, when all have exited or none can run.
  Thread* pick() {
    if (!ready_) {
      if (live_) error_ = block_report(arrived_ == live_ ? "divergent barrier" : "deadlock");
      return nullptr;
    }
    if (order_ == Order::random) {
      const uint64_t r = random();
      warp_ = above(ready_, int(r % 32));
      lane_ = above(warps_[warp_].ready, int(r / 32 % 32));
      return &threads_[32 * warp_ + lane_];
    }
    const bool greedy = order_ == Order::greedy_ascending || order_ == Order::greedy_descending;
    const int before = warp_;
    uint32_t rest =
        warps_[warp_].ready &
        (upward() ? ~first(lane_ + 1)
                  : first(lane_));  // the lanes whose turn is still to come in this round
    if (greedy)
      warp_ = upward() ? lowest(ready_) : highest(ready_);
    else if (!rest)
      warp_ = upward() ? above(ready_, warp_) : below(ready_, warp_);
    if (warp_ != before || !rest) rest = warps_[warp_].ready;
    lane_ = upward() ? lowest(rest) : highest(rest);
    return &threads_[32 * warp_ + lane_];
  }

  // --- reports ---

  // Where each thread of the block is, threads in the same place together.
  std::string block_report(const std::string& headline) {
    struct Place {
      std::string text, threads;
      int count;
    };
    std::vector<Place> places;
    for (int i = 0; i < count_; ++i) {
      const std::string text = place_of(i);
      auto p = std::find_if(places.begin(), places.end(),
                            [&](const Place& other) { return other.text == text; });
      if (p == places.end()) p = places.insert(p, {text, "", 0});
      if (p->count++ < 4) p->threads += str_of(threads_[i].index) + " ";
    }
    std::string report = headline;
    for (const Place& p : places)
      report += str("\n  ", p.count, p.count == 1 ? " thread " : " threads ", p.text, ": ",
                    p.threads, p.count > 4 ? "..." : "");
    return report;
  }

  std::string place_of(int i) const {
    const Warp& warp = warps_[i / 32];
    const uint32_t lane = 1u << (i % 32);
    if (!(warp.live & lane)) return "exited";
    if (&threads_[i] != current_ && (warp.ready & lane))
      return threads_[i].fiber ? "can run" : "not begun";
    for (int g = 0; g < warp.groups; ++g)
      if (warp.group[g].arrived & lane)
        return str("in ", threads_[i].what, " at ", str_of(threads_[i].at), ", mask ",
                   hex(warp.group[g].mask));
    return str("in ", threads_[i].what, " at ", str_of(threads_[i].at));
  }

  // --- switching ---

  void go(Thread* next) {
    if (!next) return switch_to(&host_);
    if (!next->fiber) next->fiber = take_idle();
    current_ = next;
    threadIdx = next->index;
    if (next->fiber != running_) switch_to(next->fiber);
  }

  Fiber* take_idle() {
    if (idle_.empty()) {
      const size_t page = size_t(sysconf(_SC_PAGE_SIZE));
      void* p = mmap(nullptr, page + kStackBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (p == MAP_FAILED || mprotect(p, page, PROT_NONE)) std::abort();
      fibers_.push_back(std::make_unique<Fiber>());
      Fiber* fiber = fibers_.back().get();
      fiber->stack = static_cast<char*>(p) + page;
      fiber->bytes = kStackBytes;
      prepare(fiber);
      idle_.push_back(fiber);
    }
    Fiber* fiber = idle_.back();
    idle_.pop_back();
    return fiber;
  }

  void prepare(Fiber* fiber);

  void switch_to(Fiber* to) {
    Fiber* from = previous_ = running_;
    running_ = to;
    ++counters().switches;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->bytes);
#endif
#ifdef RMT_UCONTEXT
    swapcontext(&from->context, &to->context);
#else
    rmt_emulator_switch(&from->top, to->top);
#endif
    after_switch();
  }

  void after_switch() {
#if defined(__SANITIZE_ADDRESS__)
    const void* stack;
    size_t bytes;
    __sanitizer_finish_switch_fiber(running_->fake_stack, &stack, &bytes);
    if (previous_ == &host_)
      host_.stack = static_cast<char*>(const_cast<void*>(stack)), host_.bytes = bytes;
#endif
  }

  // After an error: every stack is as new.
  void abandon() {
    for (Thread& t : threads_) t.fiber = nullptr;
    idle_.clear();
    for (auto& fiber : fibers_) {
      unpoison(fiber->stack, fiber->bytes);
      prepare(fiber.get());
      idle_.push_back(fiber.get());
    }
  }

  Fiber host_, *running_ = &host_, *previous_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;  // at their loop's end

  const Work* work_ = nullptr;
  Order order_ = Order::fair_forward;
  uint64_t random_ = 0;
  int64_t serial_ = 0;
  Warp warps_[kMaxWarps];
  Thread threads_[kMaxThreads], *current_ = threads_;
  int count_ = 0, live_ = 0;  // threads in the block; not exited
  uint32_t ready_ = 0;        // warps with a ready lane
  int warp_ = 0, lane_ = 0;   // who ran last
  std::string error_;

  int arrived_ = 0, votes_ = 0, result_ = 0;  // in the block's barrier
  bool mixed_ = false;                        // from different calls
  Thread* first_ = nullptr;
};

Machine& machine =
    *new Machine;  // never destroyed: tensors with static lifetime may be freed after anything

[[noreturn]] void fiber_main() { machine.work(); }

void Machine::prepare(Fiber* fiber) {
  fiber->fake_stack = nullptr;
#ifdef RMT_UCONTEXT
  getcontext(&fiber->context);
  fiber->context.uc_stack.ss_sp = fiber->stack;
  fiber->context.uc_stack.ss_size = fiber->bytes;
  makecontext(&fiber->context, fiber_main, 0);
#else
  // As rmt_emulator_switch leaves it: six registers, the address to return to, and above it an
  // empty return address where debuggers stop.
  void** top = reinterpret_cast<void**>(fiber->stack + fiber->bytes) - 2;
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(fiber_main);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  fiber->top = top;
#endif
}

}  // namespace

Settings& settings() {
  static Settings s;
  return s;
}

Counters& counters() {
  static Counters c;
  return c;
}

void fail(std::string message) {
  if (!machine.in_kernel()) throw Error("emulator: outside a kernel: " + message);
  machine.fail(message);
}

int thread_index() { return machine.thread_index(); }
int64_t block_serial() { return machine.block_serial(); }
int barrier(const char* what, bool predicate, const Site& at) {
  return machine.barrier(what, predicate, at);
}
void collective(const char* what, uint32_t mask, Finish f, void* record, const Site& at) {
  machine.collective(what, mask, f, record, at);
}
void* shared_array(const void* key, size_t bytes) { return machine.shared.array(key, bytes); }
void* dynamic_shared() { return machine.shared.dynamic(); }
bool in_shared(const void* p, size_t bytes) { return machine.shared.contains(p, bytes); }

void run(const Work& work) { machine.run(work); }

}  // namespace rmt::emulator

unsigned __activemask() { return rmt::emulator::machine.live_lanes(); }
