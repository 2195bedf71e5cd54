// The machine that runs a launch. It takes the blocks one after the other, and in each block
// changes between threads where they wait: a thread runs until it comes to a barrier or a warp
// collective, is taken from the ready ones (sleep), and the schedule picks the next (go). Whoever
// comes last to where the others wait makes them ready again (wake).
#include <cstring>
#include <utility>

#include "core/cuda/emulator/block.h"
#include "core/cuda/emulator/launch.h"
#include "core/cuda/emulator/shared_memory.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace rmt::emulator {
namespace {

bool same(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         !std::strcmp(a.file_name(), b.file_name());
}

// Who has come to the block's barrier.
struct Barrier {
  int arrived = 0;
  int votes = 0;       // for how many of them the predicate held
  int result = 0;      // the votes of the barrier before; stays until the next one is full
  bool mixed = false;  // they came to different calls
  const Thread* first = nullptr;  // to arrive
};

class Machine {
 public:
  Machine();

  SharedMemory shared;

  bool in_kernel() const { return !fibers_.on_host(); }
  int64_t block_serial() const { return serial_; }
  int thread_index() const { return int(block_.current - block_.threads); }

  void run(const Work& work);
  int barrier(const char* what, bool predicate, const Site& at);
  void collective(const char* what, Set mask, Finish finish, void* record, const Site& at);
  [[noreturn]] void fail(const std::string& message) {
    throw Stop(str("thread ", in_words(block_.current->index), ": ", message));
  }
  [[noreturn]] void run_threads();

 private:
  void run_block(uint64_t number);
  bool run_current();
  void exit_current();
  void abandon();

  Warp& warp() { return block_.warps[thread_index() / 32]; }
  Set lane_bit() const { return 1u << (thread_index() % 32); }
  Warp& wait_in(const char* what, const Site& at);
  Group& group_of(Warp& warp, const char* what, Set mask, Finish finish, const Site& at);
  bool release_if_complete(Warp& warp, Group& group);

  Thread* next();
  void go(Thread* next);
  std::string report(const std::string& headline) const {
    return block_report(headline, block_, schedule_);
  }

  Fibers fibers_;
  Schedule schedule_;
  Block block_;
  Barrier barrier_;
  const Work* work_ = nullptr;
  int64_t serial_ = 0;
  std::string error_;  // of the block that runs
};

// Never destroyed: tensors with static lifetime may be freed after anything else.
Machine& machine = *new Machine;

[[noreturn]] void fiber_main() { machine.run_threads(); }

Machine::Machine() : fibers_(fiber_main) {}

// --- a launch and its blocks ---

// Number i counted along the extents, x fastest.
uint3 index_in(dim3 extents, uint64_t i) {
  return {unsigned(i % extents.x), unsigned(i / extents.x % extents.y),
          unsigned(i / extents.x / extents.y)};
}

void Machine::run(const Work& work) {
  work_ = &work;
  gridDim = work.grid;
  blockDim = work.block;
  block_.count = int(work.block.x * work.block.y * work.block.z);
  for (int i = 0; i < block_.count; ++i) block_.threads[i].index = index_in(blockDim, uint64_t(i));
  const uint64_t blocks = uint64_t(work.grid.x) * work.grid.y * work.grid.z;
  const uint64_t launch = uint64_t(counters().launches++);
  schedule_.begin_launch(settings().order, settings().seed * 0x9e3779b97f4a7c15 + launch, blocks);
  for (uint64_t i = 0; i < blocks; ++i) run_block(schedule_.block(i));
}

void Machine::run_block(uint64_t number) {
  blockIdx = index_in(gridDim, number);
  ++counters().blocks;
  ++serial_;
  shared.begin_block(work_->shared);
  barrier_ = {};
  block_.live = block_.count;
  for (int w = 0; w < kMaxWarps; ++w) {
    Warp& warp = block_.warps[w];
    warp.live = block_.count > 32 * w ? first(block_.count - 32 * w) : 0;
    warp.in_barrier = 0;
    warp.groups = 0;
  }
  schedule_.begin_block(block_.count);
  go(next());
  // Here all threads have exited, or one has left an error.
  if (error_.empty()) error_ = shared.damage();
  if (error_.empty()) return;
  abandon();
  throw Error(str("emulator: kernel ", work_->kernel, ", block ", in_words(blockIdx), ": ",
                  std::exchange(error_, {})));
}

void Machine::abandon() {
  for (Thread& thread : block_.threads) thread.fiber = nullptr;
  fibers_.renew();
}

// --- a thread's life ---

// What every fiber does for ever: runs the current thread to its end, then goes to whoever comes
// next. A thread that has not begun begins on this same stack.
void Machine::run_threads() {
  fibers_.arrived();
  for (;;) {
    const bool completed = run_current();
    fibers_.give_back_running();
    go(completed ? next() : nullptr);
  }
}

// False when it left an error. Nothing is thrown beyond a fiber's end.
bool Machine::run_current() {
  const auto thread = [&] { return str("thread ", in_words(block_.current->index)); };
  try {
    work_->body();
    exit_current();
    return true;
  } catch (const Stop& stop) {
    error_ = stop.what();
  } catch (const std::exception& e) {
    error_ = str(thread(), ": thrown in the kernel: ", e.what());
  } catch (...) {
    error_ = str(thread(), ": something thrown in the kernel");
  }
  return false;
}

// Lanes that wait for nobody but this one go on.
void Machine::exit_current() {
  Warp& own = warp();
  schedule_.sleep(thread_index());
  own.live &= ~lane_bit();
  --block_.live;
  block_.current->fiber = nullptr;
  for (int i = own.groups; i-- > 0;) release_if_complete(own, own.group[i]);
}

// --- waiting ---

Warp& Machine::wait_in(const char* what, const Site& at) {
  schedule_.sleep(thread_index());
  block_.current->what = what;
  block_.current->at = at;
  return warp();
}

int Machine::barrier(const char* what, bool predicate, const Site& at) {
  wait_in(what, at).in_barrier |= lane_bit();
  if (barrier_.arrived++ == 0) barrier_.first = block_.current;
  barrier_.mixed |= !same(at, barrier_.first->at);
  barrier_.votes += predicate;
  if (barrier_.arrived == block_.count) {
    if (barrier_.mixed) throw Stop(report("divergent barrier"));
    barrier_.result = std::exchange(barrier_.votes, 0);
    barrier_.arrived = 0;
    for (int w = 0; w < kMaxWarps; ++w)
      schedule_.wake(w, std::exchange(block_.warps[w].in_barrier, 0));
    schedule_.begin_round();
  }
  go(next());
  return barrier_.result;  // stays until the next barrier, to which this thread has not come
}

void Machine::collective(const char* what, Set mask, Finish finish, void* record, const Site& at) {
  if (!(mask & lane_bit()))
    fail(str(what, ": lane ", thread_index() % 32, " is not in its own mask ", in_words(mask),
             ", at ", in_words(at)));
  Warp& own = wait_in(what, at);
  block_.current->record = record;
  Group& group = group_of(own, what, mask, finish, at);
  group.arrived |= lane_bit();
  if (!release_if_complete(own, group)) go(next());
}

// The group of lanes that this one joins, or a new one. Lanes that name each other in their masks
// wait for each other: then they must have come to the same call.
Group& Machine::group_of(Warp& warp, const char* what, Set mask, Finish finish, const Site& at) {
  for (int i = 0; i < warp.groups; ++i) {
    Group& group = warp.group[i];
    if (!(group.mask & lane_bit()) || !(group.arrived & mask)) continue;
    if (group.mask == mask && group.finish == finish && same(group.at, at)) return group;
    throw Stop(
        report(str("warp lanes that wait for each other in different calls: lane ",
                   thread_index() % 32, " came to ", what, " with mask ", in_words(mask), " at ",
                   in_words(at), ", where lanes ", in_words(group.arrived), " wait in ", group.what,
                   " with mask ", in_words(group.mask), " at ", in_words(group.at))));
  }
  Group& group = warp.group[warp.groups++];
  group = {what, mask, 0, finish, at};
  return group;
}

// Complete: every lane of the mask that has not exited is there.
bool Machine::release_if_complete(Warp& warp, Group& group) {
  const Set arrived = group.arrived;
  if (group.mask & warp.live & ~arrived) return false;
  const int w = int(&warp - block_.warps);
  void* record[32] = {};
  for (Set rest = arrived; rest; rest &= rest - 1)
    record[lowest(rest)] = block_.threads[32 * w + lowest(rest)].record;
  group.finish(record);
  group = warp.group[--warp.groups];
  schedule_.wake(w, arrived);
  return true;
}

// --- going on ---

// The thread that runs next; null for the host, when all have exited or none can run.
Thread* Machine::next() {
  if (schedule_.anyone_ready()) return &block_.threads[schedule_.pick()];
  if (block_.live)
    error_ = report(barrier_.arrived == block_.live ? "divergent barrier" : "deadlock");
  return nullptr;
}

// Returns when the thread that called is picked again.
void Machine::go(Thread* next) {
  if (!next) return fibers_.switch_to_host();
  if (!next->fiber) next->fiber = fibers_.take();
  block_.current = next;
  threadIdx = next->index;
  if (next->fiber != fibers_.running()) fibers_.switch_to(next->fiber);
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
