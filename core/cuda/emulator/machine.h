// The emulated machine's own interface. Tests choose by it how threads are ordered and what is
// checked; core/cuda/launch.h starts kernels by it; and inside a kernel, barriers, warp collectives
// and shared memory reach the machine (machine.cpp) through it.
#pragma once
#include <cstdint>
#include <functional>
#include <source_location>
#include <string>

#include "core/cuda/emulator/language.h"
#include "core/cuda/emulator/notes.h"
#include "core/cuda/emulator/runtime_api.h"

namespace rmt::emulator {

// Who runs next when a thread blocks. README.md draws what each order does to a kernel.
//
//   fair_forward, fair_reverse           the next warp that can run, round and round, and within
//                                        it each lane in turn
//   greedy_ascending, greedy_descending  the lowest (highest) warp that can run, until all its
//                                        lanes wait
//   random                               any lane that can run
//
// A barrier that is missing between a write and another thread's read shows as a difference between
// a forward and a backward order. One that is missing between a read and another thread's overwrite
// often shows in the greedy orders alone, where a warp runs ahead of the others. Blocks go forward
// in fair_forward and greedy_ascending, backward in fair_reverse and greedy_descending, shuffled in
// random.
enum class Order { fair_forward, fair_reverse, greedy_ascending, greedy_descending, random };
inline constexpr Order kOrders[] = {Order::fair_forward, Order::fair_reverse,
                                    Order::greedy_ascending, Order::greedy_descending,
                                    Order::random};

struct Settings {
  Order order = Order::fair_forward;
  uint64_t seed = 0;  // of Order::random
  // Bytes. The first allocation reserves so many addresses; later changes below that are obeyed.
  size_t device_memory = size_t(4) << 30;
  // The gaps around blocks of memory are looked at after each launch; else only at
  // synchronisations and frees.
  bool check_canaries_each_launch = true;
  // Device memory is inaccessible outside kernels and copies, from the next operation on.
  bool lock_memory = false;
  // Work on streams waits for a synchronisation.
  bool lazy = false;
  // A dry run: kernels, products and copies do nothing, and device memory is never touched, so that
  // it may be larger than the host's; host memory that is copied to becomes 0. For notes.h.
  bool dry = false;
};
Settings& settings();

// What the emulator has done so far.
struct Counters {
  int64_t launches = 0, blocks = 0;
  int64_t switches = 0;  // from fiber to fiber
  int64_t spins = 0;     // waits of the host that would keep its processor busy
};
Counters& counters();

// The launch's parameters are checked as CUDA does; `body` is one call of the kernel.
cudaError_t launch(const char* kernel, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                   std::function<void()> body);
// Work of the stream that is not a kernel of ours, such as a matrix product from a library: `work`
// may touch device memory.
cudaError_t enqueue(const char* name, cudaStream_t stream, std::function<void()> work);
// Throws unless p is null or points into (or just behind) a live device block or pinned host
// memory: a kernel must not be handed a host pointer.
void check_argument(const char* kernel, int index, const void* p);

// --- called from kernels ---

// Where in the kernel's source a barrier or a warp collective stands, for reports and to tell
// threads that came to different ones.
using Site = std::source_location;

// Ends the launch with an Error that names the kernel, the block and the thread.
[[noreturn]] void fail(std::string message);
// The running thread's number in its block, x counting fastest, and in its warp.
int thread_index();
inline int lane_index() { return thread_index() % 32; }
// A number of its own for every block that was ever begun.
int64_t block_serial();

// The block's barrier; returns for how many threads `predicate` held. All threads must come, to the
// same call.
int barrier(const char* what, bool predicate, const Site& at);

// A warp collective. Each lane of `mask` brings a record on its own stack; the last to arrive runs
// finish on all of them and releases the others. record[i] is null for a lane that is not in the
// mask, does not exist or has exited: as on hardware (sm_70 on) those are not waited for, so a full
// mask is legal in a partial warp.
using Finish = void (*)(void* const (&record)[32]);
void collective(const char* what, uint32_t mask, Finish finish, void* record, const Site& at);

// The block's array that belongs to `key`, the same for all its threads; made at the first call.
void* shared_array(const void* key, size_t bytes);
// The launch's dynamic shared memory.
void* dynamic_shared();
// Do the bytes lie inside one array of shared memory?
bool in_shared(const void* p, size_t bytes);

}  // namespace rmt::emulator
