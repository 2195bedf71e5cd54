// Processes with a GPU each, whose tensors NCCL carries from GPU to GPU. The only file that
// includes NCCL's header; it is linked where make was given NCCL=1. Tensors on the CPU go by the
// room of the hosts.
//
//   stream      backward ... bucket 0 is full, backward ...          | wait: all sums are there
//   of NCCL                   \-- exchange, add in the order of ranks --/
//
// NCCL's own sums depend on how the GPUs are connected. Here it only moves bytes, as many as its
// rings do, 2 (size - 1) / size of a tensor: each process gets its part of the tensor from all,
// adds in the order of ranks and gives the sum to all. The bits are those of every other room. All
// of it can be recorded in a graph (core/cuda/graph.h), since it has a stream of its own that
// begins and ends at events.
#include <nccl.h>

#include <cstring>

#include "core/cuda/device.h"
#include "core/cuda/launch.h"
#include "core/processes/rooms.h"

namespace rmt {
namespace {

void check(ncclResult_t code, const char* what) {
  CHECK(code == ncclSuccess, "NCCL, ", what, ": ", ncclGetErrorString(code),
        "; NCCL_DEBUG=INFO in the environment says more");
}

// While one lives, launches go to this stream.
class OnStream {
 public:
  explicit OnStream(cudaStream_t stream) : before_(cuda::use_stream(stream)) {}
  ~OnStream() { cuda::use_stream(before_); }
  OnStream(const OnStream&) = delete;
  OnStream& operator=(const OnStream&) = delete;

 private:
  cudaStream_t before_;
};

class NcclRoom : public Processes {
 public:
  explicit NcclRoom(Processes& hosts) : Processes(hosts.rank(), hosts.size()), hosts_(hosts) {
    cuda::info();  // chooses the GPU
    ncclUniqueId id{};
    if (is_first()) check(ncclGetUniqueId(&id), "its name for this run");
    const Tensor bytes = Tensor::empty({int64_t(sizeof id)}, DType::u8);
    std::memcpy(bytes.raw(), &id, sizeof id);
    hosts_.broadcast(bytes);
    std::memcpy(&id, bytes.raw(), sizeof id);
    check(ncclCommInitRank(&comm_, int(size()), id, int(rank())), "start");
    cuda::check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "NCCL's stream");
    for (cudaEvent_t* e : {&begin_, &end_})
      cuda::check(cudaEventCreateWithFlags(e, cudaEventDisableTiming), "event");
  }
  ~NcclRoom() override {
    cudaStreamSynchronize(stream_);
    ncclCommDestroy(comm_);
    for (cudaEvent_t e : {begin_, end_}) cudaEventDestroy(e);
    cudaStreamDestroy(stream_);
  }

  void set_timeout(double seconds) override { hosts_.set_timeout(seconds); }
  Traffic traffic() override { return hosts_.traffic(); }
  void fail(const std::string& message) override { hosts_.fail(message); }

 private:
  void do_start_all_reduce(const Tensor& x) override {
    if (x.device() == Device::cpu) return hosts_.start_all_reduce(x);
    const size_t each = size_of(x.dtype());
    auto bound = [n = x.numel(), size = size()](int64_t r) { return n * r / size; };
    const int64_t mine = bound(rank() + 1) - bound(rank());
    reserve(size_t(mine * size()) * each);
    char* const all = static_cast<char*>(x.raw());
    char* const own = all + each * size_t(bound(rank()));
    char* const from = static_cast<char*>(received_.raw());

    fork();
    check(ncclGroupStart(), "sum");
    for (int64_t r = 0; r < size(); ++r) {
      send(all + each * size_t(bound(r)), each * size_t(bound(r + 1) - bound(r)), r);
      receive(from + each * size_t(mine * r), each * size_t(mine), r);
    }
    check(ncclGroupEnd(), "sum");
    if (mine > 0) {
      cuda::check(
          cudaMemcpyAsync(own, from, each * size_t(mine), cudaMemcpyDeviceToDevice, stream_),
          "sum");
      const OnStream here(stream_);
      for (int64_t r = 1; r < size(); ++r)
        cuda::add(own, from + each * size_t(mine * r), x.dtype(), mine);
    }
    check(ncclGroupStart(), "sum");
    for (int64_t r = 0; r < size(); ++r) {
      if (r == rank()) continue;
      send(own, each * size_t(mine), r);
      receive(all + each * size_t(bound(r)), each * size_t(bound(r + 1) - bound(r)), r);
    }
    check(ncclGroupEnd(), "sum");
    begun_ = true;
  }

  void do_wait() override {
    hosts_.wait();
    if (begun_) join();
    begun_ = false;
    ncclResult_t state = ncclSuccess;
    check(ncclCommGetAsyncError(comm_, &state), "wait");
    check(state, "wait");
  }

  void do_broadcast(const Tensor& x, int64_t root) override {
    if (x.device() == Device::cpu) return hosts_.broadcast(x, root);
    fork();
    check(ncclBroadcast(x.raw(), x.raw(), x.nbytes(), ncclUint8, int(root), comm_, stream_),
          "broadcast");
    join();
  }

  void do_all_gather(const Tensor& x, const Tensor& all) override {
    if (x.device() == Device::cpu) {
      all.copy_from(hosts_.all_gather(x));
      return;
    }
    fork();
    check(ncclAllGather(x.raw(), all.raw(), x.nbytes(), ncclUint8, comm_, stream_), "gather");
    join();
  }

  void do_barrier() override { hosts_.barrier(); }

  // What follows on NCCL's stream comes after what was launched so far, and after join() the other
  // way round.
  void fork() {
    cuda::check(cudaEventRecord(begin_, cuda::stream()), "NCCL's stream");
    cuda::check(cudaStreamWaitEvent(stream_, begin_, 0), "NCCL's stream");
  }
  void join() {
    cuda::check(cudaEventRecord(end_, stream_), "NCCL's stream");
    cuda::check(cudaStreamWaitEvent(cuda::stream(), end_, 0), "NCCL's stream");
  }
  void send(const void* p, size_t bytes, int64_t to) {
    if (bytes > 0) check(ncclSend(p, bytes, ncclUint8, int(to), comm_, stream_), "send");
  }
  void receive(void* p, size_t bytes, int64_t from) {
    if (bytes > 0) check(ncclRecv(p, bytes, ncclUint8, int(from), comm_, stream_), "receive");
  }
  // One buffer for all sums, which follow one another on NCCL's stream. It has its size before a
  // step is recorded, since the steps before have made the same sums.
  void reserve(size_t bytes) {
    if (received_.nbytes() >= bytes) return;
    cuda::check(cudaStreamSynchronize(stream_), "NCCL's stream");
    received_ = Tensor::empty({int64_t(bytes)}, DType::u8, Device::cuda);
  }

  Processes& hosts_;
  ncclComm_t comm_ = nullptr;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
  Tensor received_;
  bool begun_ = false;
};

std::unique_ptr<Processes> make_nccl_room(Processes& hosts) {
  return std::make_unique<NcclRoom>(hosts);
}
[[maybe_unused]] const bool known = (rooms::nccl = make_nccl_room, true);

}  // namespace
}  // namespace rmt
