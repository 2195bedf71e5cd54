#include "core/cuda/upload.h"

#include "core/cuda/device.h"
#include "core/cuda/event.h"
#include "core/cuda/graph.h"
#include "core/cuda/pinned.h"
#include "core/storage.h"

namespace rmt::cuda {
namespace {

constexpr size_t kAlign = 256;

size_t rounded(size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

cudaStream_t copy_stream() {
  static cudaStream_t stream = [] {
    cudaStream_t s = nullptr;
    check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "stream for copies");
    return s;
  }();
  return stream;
}

// On the host, in pinned memory where there is such.
Tensor pinned(const Tensor& x) {
  const Tensor here = x.to(Device::cpu);
  if (is_pinned(here.raw())) return here;
  const PinnedMemory wanted;
  return here.clone();
}

}  // namespace

struct Upload::State {
  std::unique_ptr<Storage> landing;
  Event read;  // on the compute stream: nobody will read the landing place any more
  struct Turn {
    std::vector<Tensor> host;
    Event landed;  // on the copy stream
  } turns[2];
  int64_t sends = 0;

  // Memory of the pool may still be in use by what was launched before (pool.h).
  void make_landing(size_t bytes) {
    if (landing && landing->bytes() >= bytes) return;
    landing.reset();
    landing = std::make_unique<Storage>(bytes, Device::cuda);
    read.record(stream());
  }
};

Upload::Upload() : state_(std::make_unique<State>()) {}

Upload::~Upload() {
  for (State::Turn& turn : state_->turns) try {
      turn.landed.wait("copy to the GPU");
    } catch (const Error&) {
      // The device is lost: whoever asks it next is told.
    }
}

void Upload::send(const std::vector<Tensor>& from, const std::vector<Tensor>& to) {
  CHECK(from.size() == to.size(), "upload: ", from.size(), " tensors into ", to.size());
  CHECK(!recording(), "upload: a graph is being recorded, and would repeat the copy");
  size_t bytes = 0;
  for (size_t i = 0; i < from.size(); ++i) {
    CHECK(from[i].nbytes() == to[i].nbytes() && to[i].device() == Device::cuda,
          "upload: ", from[i].dtype(), " ", from[i].shape(), " does not fit ", to[i].dtype(), " ",
          to[i].shape(), " on ", to[i].device());
    bytes += rounded(from[i].nbytes());
  }
  State& s = *state_;
  State::Turn& turn = s.turns[s.sends++ % 2];
  turn.landed.wait("copy to the GPU");  // of the call before the last
  turn.host.clear();
  s.make_landing(bytes);
  const cudaStream_t copies = copy_stream();
  s.read.hold(copies);
  char* at = static_cast<char*>(s.landing->data());
  for (const Tensor& x : from) {
    turn.host.push_back(pinned(x));
    if (x.nbytes() > 0)
      check(cudaMemcpyAsync(at, turn.host.back().raw(), x.nbytes(), cudaMemcpyHostToDevice, copies),
            "copy to the GPU");
    at += rounded(x.nbytes());
  }
  turn.landed.record(copies);
  turn.landed.hold(stream());
  at = static_cast<char*>(s.landing->data());
  for (const Tensor& x : to) {
    copy(x.raw(), Device::cuda, at, Device::cuda, x.nbytes());
    at += rounded(x.nbytes());
  }
  s.read.record(stream());
}

}  // namespace rmt::cuda
