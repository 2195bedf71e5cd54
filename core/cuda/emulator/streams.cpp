#include "core/cuda/emulator/streams.h"

#include <algorithm>
#include <utility>

#include "core/cuda/emulator/device_memory.h"
#include "core/cuda/emulator/launch.h"
#include "core/cuda/emulator/machine.h"
#include "core/error.h"

namespace rmt::emulator {

std::recursive_mutex& api = *new std::recursive_mutex;
CUstream_st& default_stream = *new CUstream_st;
std::vector<cudaStream_t>& streams = *new std::vector<cudaStream_t>{&default_stream};

// --- errors ---

cudaError_t last_error = cudaSuccess;
bool host_sleeps = false;

cudaError_t report(cudaError_t code) {
  if (code != cudaSuccess) last_error = code;
  return code;
}

namespace {
std::string& pending_error = *new std::string;
}

void set_pending_error(std::string message) { pending_error = std::move(message); }

void throw_pending_error() {
  if (!pending_error.empty()) throw Error(std::exchange(pending_error, {}));
}

void check_gaps(const std::string& when) {
  if (settings().dry) return;
  Access access;
  if (std::string text = memory.damage(); !text.empty())
    throw Error(str("emulator: ", when, ": ", text));
}

// --- queues ---

cudaStream_t resolve(cudaStream_t stream) { return stream ? stream : &default_stream; }

bool is_capturing(cudaStreamCaptureMode loosest) {
  return std::any_of(streams.begin(), streams.end(),
                     [=](cudaStream_t s) { return s->capture && s->mode <= loosest; });
}

namespace {

void run_first(cudaStream_t stream) {
  Op op = std::move(stream->queue.front());
  stream->queue.pop_front();
  try {
    op();
  } catch (...) {
    stream->queue.clear();  // what came after it has lost its meaning
    throw;
  }
}

}  // namespace

void finish(cudaStream_t stream) {
  while (!stream->queue.empty()) run_first(stream);
}

void finish_blocking(cudaStream_t except) {
  for (cudaStream_t s : streams)
    if (s->blocking && s != except) finish(s);
}

void finish(const Mark& mark) {
  const bool alive = std::find(streams.begin(), streams.end(), mark.stream) != streams.end();
  while (alive && !mark.done && !mark.stream->queue.empty()) run_first(mark.stream);
}

// The default stream and the blocking ones wait for each other: that each finishes first what the
// other holds is one of the orders that CUDA may take, too.
void submit(cudaStream_t stream, Op op) {
  throw_pending_error();
  stream = resolve(stream);
  if (stream->capture) return stream->capture->ops.push_back(std::move(op));
  if (stream == &default_stream)
    finish_blocking(stream);
  else if (stream->blocking)
    finish(&default_stream);
  stream->queue.push_back(std::move(op));
  if (!settings().lazy) finish(stream);
}

cudaError_t synchronize() {
  if (is_capturing()) return report(cudaErrorStreamCaptureUnsupported);
  throw_pending_error();
  for (cudaStream_t s : streams) finish(s);
  check_gaps("at a synchronisation");
  throw_pending_error();
  return cudaSuccess;
}

// --- kernels and other work ---

namespace {

// `work` may access device memory; afterwards the gaps are looked at.
template <class F>
void run_on_device(const std::string& name, const F& work) {
  if (settings().dry) return;
  {
    Access access;
    work();
  }
  if (settings().check_canaries_each_launch) check_gaps("after " + name);
}

// As CUDA limits them.
bool valid(dim3 grid, dim3 block) {
  const bool empty = !grid.x || !grid.y || !grid.z || !block.x || !block.y || !block.z;
  const bool grid_fits = grid.x <= 0x7fffffff && grid.y <= 65535 && grid.z <= 65535;
  const bool block_fits =
      block.x <= 1024 && block.y <= 1024 && block.z <= 64 && block.x * block.y * block.z <= 1024;
  return !empty && grid_fits && block_fits;
}

}  // namespace

cudaError_t launch(const char* kernel, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                   Op body) {
  Lock lock(api);
  if (!valid(grid, block)) return report(cudaErrorInvalidConfiguration);
  if (shared > kMaxShared) return report(cudaErrorInvalidValue);
  submit(stream, [work = Work{kernel, grid, block, shared, std::move(body)}] {
    run_on_device("kernel " + work.kernel, [&] { run(work); });
  });
  return cudaSuccess;
}

cudaError_t enqueue(const char* name, cudaStream_t stream, Op work) {
  Lock lock(api);
  submit(stream, [name = std::string(name), work = std::move(work)] { run_on_device(name, work); });
  return cudaSuccess;
}

void check_argument(const char* kernel, int index, const void* p) {
  Lock lock(api);
  CHECK(!p || memory.contains(p, 0) || is_pinned(p, 0), "emulator: kernel ", kernel, ": argument ",
        index, ", ", p, ", points neither to device memory nor to pinned host memory");
}

}  // namespace rmt::emulator
