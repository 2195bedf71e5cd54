// Fibers: stacks that one OS thread changes between. Each CUDA thread of the running block has one
// while it is begun and not exited; the host's own stack counts as a fiber too.
//
//     host  --switch_to(a)-->  a  --switch_to(b)-->  b  ...  --switch_to_host()-->  host
//
// A switch saves what a function call must preserve, sets the stack pointer to where the other
// fiber left it, and returns there. A fiber is given back when its CUDA thread has ended, and then
// serves another one: a kernel whose threads never wait needs a single fiber for all of them.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

#if !defined(__x86_64__) || defined(RMT_EMULATOR_UCONTEXT)
#define RMT_UCONTEXT 1
#include <ucontext.h>
#endif

namespace rmt::emulator {

struct Fiber {
  char* stack = nullptr;  // its lowest address; null: the host's own
  size_t bytes = 0;
  void* top = nullptr;         // the stack pointer while the fiber does not run
  void* fake_stack = nullptr;  // ASan's
  void* tsan = nullptr;        // ThreadSanitizer's name of it
#ifdef RMT_UCONTEXT
  ucontext_t context;
#endif
};

class Fibers {
 public:
  // Every fiber runs `body`, which must never return; its first act must be to call arrived().
  explicit Fibers(void (*body)()) : body_(body) {}

  bool on_host() const { return running_ == &host_; }
  Fiber* running() const { return running_; }

  // A fiber that waits for work: at the beginning of `body`, or where it switched away after
  // give_back_running().
  Fiber* take();
  // The running fiber has no CUDA thread any more.
  void give_back_running() { idle_.push_back(running_); }

  // Return when somebody switches back.
  void switch_to(Fiber* to);
  void switch_to_host() { switch_to(&host_); }
  void arrived();

  // After an error: drops whatever the stacks hold. All fibers are idle, at the beginning of
  // `body`.
  void renew();

 private:
  void prepare(Fiber* fiber);

  void (*body_)();
  Fiber host_;
  Fiber* running_ = &host_;
  Fiber* previous_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> all_;
  std::vector<Fiber*> idle_;
};

}  // namespace rmt::emulator
