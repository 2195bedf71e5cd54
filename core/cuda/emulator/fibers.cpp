#include "core/cuda/emulator/fibers.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "core/cuda/emulator/guard.h"
#include "core/cuda/emulator/machine.h"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

#ifndef RMT_UCONTEXT
// Pushes the six registers that a call must preserve, leaves the stack pointer in *save and takes
// `load` in its place; then pops the six of the other fiber and returns to where it called from.
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

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kStackBytes = 256 << 10;  // the sanitizers' frames are large
#else
constexpr size_t kStackBytes = 64 << 10;
#endif

}  // namespace

// Below each stack lies a page that nobody may touch, so that an overflow is a fault at once.
Fiber* Fibers::take() {
  if (idle_.empty()) {
    const size_t page = size_t(sysconf(_SC_PAGE_SIZE));
    void* p = mmap(nullptr, page + kStackBytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED || mprotect(p, page, PROT_NONE)) std::abort();
    all_.push_back(std::make_unique<Fiber>());
    Fiber* fiber = all_.back().get();
    fiber->stack = static_cast<char*>(p) + page;
    fiber->bytes = kStackBytes;
    prepare(fiber);
    idle_.push_back(fiber);
  }
  Fiber* fiber = idle_.back();
  idle_.pop_back();
  return fiber;
}

void Fibers::prepare(Fiber* fiber) {
  fiber->fake_stack = nullptr;
#if defined(__SANITIZE_THREAD__)
  if (fiber->tsan) __tsan_destroy_fiber(fiber->tsan);
  fiber->tsan = __tsan_create_fiber(0);
#endif
#ifdef RMT_UCONTEXT
  getcontext(&fiber->context);
  fiber->context.uc_stack.ss_sp = fiber->stack;
  fiber->context.uc_stack.ss_size = fiber->bytes;
  makecontext(&fiber->context, body_, 0);
#else
  // The stack as rmt_emulator_switch leaves one: six registers, the address to return to, which is
  // the body's beginning, and above it an empty return address, where debuggers stop.
  void** top = reinterpret_cast<void**>(fiber->stack + fiber->bytes) - 2;
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(body_);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  fiber->top = top;
#endif
}

void Fibers::switch_to(Fiber* to) {
  Fiber* from = previous_ = running_;
  running_ = to;
  ++counters().switches;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->bytes);
#endif
#if defined(__SANITIZE_THREAD__)
  // What a fiber did happens before what the next one does: they take turns in one OS thread.
  if (from == &host_) from->tsan = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(to->tsan, 0);
#endif
#ifdef RMT_UCONTEXT
  swapcontext(&from->context, &to->context);
#else
  rmt_emulator_switch(&from->top, to->top);
#endif
  arrived();
}

// ASan learns on which stack it is; and where the host's own stack lies, the first time.
void Fibers::arrived() {
#if defined(__SANITIZE_ADDRESS__)
  const void* stack;
  size_t bytes;
  __sanitizer_finish_switch_fiber(running_->fake_stack, &stack, &bytes);
  if (previous_ == &host_) {
    host_.stack = static_cast<char*>(const_cast<void*>(stack));
    host_.bytes = bytes;
  }
#endif
}

void Fibers::renew() {
  idle_.clear();
  for (auto& fiber : all_) {
    unpoison(fiber->stack, fiber->bytes);
    prepare(fiber.get());
    idle_.push_back(fiber.get());
  }
}

}  // namespace rmt::emulator
