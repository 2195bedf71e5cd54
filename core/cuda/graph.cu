#include "core/cuda/graph.h"

#include "core/cuda/device.h"
#include "core/cuda/event.h"
#include "core/cuda/pool.h"

namespace rmt::cuda {

bool recording() {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream(), &status), "graph: is one recorded?");
  return status != cudaStreamCaptureStatusNone;
}

struct Graph::State {
  Pool pool;  // of its own, so that nobody else writes where the graph does
  cudaGraphExec_t executable = nullptr;
};

Graph::Graph() : state_(std::make_unique<State>()) {}

Graph::~Graph() {
  if (state_->executable) {
    cudaStreamSynchronize(stream());
    cudaGraphExecDestroy(state_->executable);
  }
}

bool Graph::captured() const { return state_->executable != nullptr; }

void Graph::capture(const std::function<void()>& f) {
  CHECK(!captured(), "graph: captured already; record other launches in another Graph");
  synchronize();
  free_unused();  // what the steps before kept, the graph's own pool will need
  try {
    try_to_capture(f);
  } catch (const OutOfMemory& e) {
    free_unused();
    if (free_memory() <= e.free) throw;
    try_to_capture(f);
  }
}

void Graph::try_to_capture(const std::function<void()>& f) {
  struct Redirect {
    Pool* before;
    explicit Redirect(Pool* pool) : before(Pool::use(pool)) {}
    ~Redirect() {
      Pool::use(before);
      Pool::free_held_back();
    }
  } redirect(&state_->pool);
  check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed), "graph: begin of capture");
  cudaGraph_t graph = nullptr;
  try {
    f();
  } catch (...) {
    cudaStreamEndCapture(stream(), &graph);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
    throw;
  }
  check(cudaStreamEndCapture(stream(), &graph), "graph: end of capture");
  const cudaError_t e = cudaGraphInstantiate(&state_->executable, graph, 0);
  cudaGraphDestroy(graph);
  check(e, "graph: instantiation");
}

void Graph::launch() {
  CHECK(captured(), "graph: launch() before capture()");
  check(cudaGraphLaunch(state_->executable, stream()), "graph: launch");
}

struct Readback::State {
  void* pinned = nullptr;
  size_t bytes = 0;
  Event arrived;
};

Readback::Readback(size_t bytes) : state_(std::make_unique<State>()) {
  state_->bytes = bytes;
  check(cudaMallocHost(&state_->pinned, state_->bytes), "pinned memory");
}

Readback::~Readback() {
  try {
    state_->arrived.wait("readback");
  } catch (const Error&) {
    // The device is lost: whoever asks it next is told.
  }
  cudaFreeHost(state_->pinned);
}

void Readback::start(const void* x) {
  check(cudaMemcpyAsync(state_->pinned, x, state_->bytes, cudaMemcpyDeviceToHost, stream()),
        "readback");
  state_->arrived.record(stream());
}

const void* Readback::wait() {
  state_->arrived.wait("readback");
  return state_->pinned;
}

}  // namespace rmt::cuda
