// Processes that MPI connects: mpirun or srun has started them. The only file that includes MPI's
// header; it is linked where make was given MPI=1.
//
// One thread makes every call of MPI. It takes the calls of the program in their order, starts each
// without waiting for it and asks again and again whether it is done: so sums go on while the
// program computes, and the thread always has time for its neighbours' signs of life.
//
//   program   start_all_reduce(a)  computes ...  start_all_reduce(b)  computes ...  wait()
//   thread    [ a: alltoall, add in the order of ranks, allgather ] [ b ......... ]
//              ^ ^ ^ ^   a sign of life to rank + 1, one from rank - 1, every second
#define OMPI_SKIP_MPICXX
#define MPICH_SKIP_MPICXX
#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/processes/rooms.h"

namespace rmt {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSignTag = 1, kFailTag = 2;
constexpr int kStays = 0, kLeaves = 1;           // what a sign of life says
constexpr int kLongestMessage = 4096;            // bytes of what a failing process has to say
constexpr int64_t kPiece = int64_t(64) << 20;    // bytes; MPI counts in ints
constexpr double kSignInterval = 1;              // seconds
constexpr double kMessageTime = 3;               // seconds that rank 0 has to print a message
constexpr std::chrono::microseconds kPoll{100};  // between two looks at a call nobody waits for

double seconds_since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}

void check(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(str("MPI, ", what, ": ", std::string(text, size_t(length))));
}

// A call on its way. next() goes on with it as far as it can without waiting.
struct Call {
  std::function<void(MPI_Request*)> start = nullptr;
  std::function<void(Call&)> then = nullptr;  // when that is done; may set another start
  bool started = false;
  MPI_Request request = MPI_REQUEST_NULL;

  bool next() {  // true: it is done
    if (!started) start(&request);
    started = true;
    int done = 0;
    check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "a call");
    if (!done) return false;
    started = false;
    start = nullptr;
    if (then) std::exchange(then, nullptr)(*this);
    return !start;
  }
};

class MpiRoom : public Processes {
 public:
  MpiRoom(int64_t rank, int64_t size) : Processes(rank, size) {
    thread_ = std::thread([this] { work(); });
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return ready_; });
  }
  ~MpiRoom() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      leaving_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  bool recordable() const override { return false; }
  void set_timeout(double seconds) override { timeout_ = seconds; }
  Traffic traffic() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return traffic_;
  }
  [[noreturn]] void fail(const std::string& message) override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      failure_ = message;
      failed_ = true;
    }
    changed_.notify_all();
    for (;;) pause();
  }

 private:
  // --- the program's side ---
  void do_start_all_reduce(const Tensor& x) override {
    const Tensor host = x.to(Device::cpu);  // of a tensor on the GPU a copy
    if (x.device() == Device::cuda) begun_on_gpu_.push_back({x.detach(), host});
    const int64_t most = kPiece / int64_t(size_of(x.dtype())), n = x.numel();
    const Tensor flat = host.detach().view({n});
    for (int64_t i = 0; i < n; i += most) sum_piece(flat.slice(i, std::min(n, i + most)));
  }
  void do_wait() override {
    wait_for_all();
    for (auto& [x, host] : begun_on_gpu_) x.copy_from(host);
    begun_on_gpu_.clear();
  }
  void do_broadcast(const Tensor& x, int64_t root) override {
    const Tensor host = x.to(Device::cpu);
    const int64_t bytes = int64_t(x.nbytes());
    for (int64_t i = 0; i < bytes; i += kPiece)
      ask({[=, this](MPI_Request* r) {
        check(MPI_Ibcast(static_cast<char*>(host.raw()) + i, int(std::min(kPiece, bytes - i)),
                         MPI_BYTE, int(root), world_, r),
              "broadcast");
      }});
    wait_for_all();
    if (x.device() == Device::cuda && rank() != root) x.copy_from(host);
  }
  void do_all_gather(const Tensor& x, const Tensor& all) override;
  void do_barrier() override {
    ask({[this](MPI_Request* r) { check(MPI_Ibarrier(world_, r), "barrier"); }});
    wait_for_all();
  }
  void sum_piece(const Tensor& x);
  void ask(Call call) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      calls_.push_back(std::move(call));
    }
    changed_.notify_all();
  }
  void wait_for_all() {
    std::unique_lock<std::mutex> lock(mutex_);
    awaited_ = true;
    const auto begun = Clock::now();
    changed_.notify_all();
    changed_.wait(lock, [&] { return calls_.empty(); });
    awaited_ = false;
    traffic_.waited += seconds_since(begun);
  }

  // --- the thread's side ---
  void work();
  void live();
  void exchange_signs();
  void listen_for_failures();
  [[noreturn]] void give_up(const std::string& message);
  [[noreturn]] void end_all() {
    MPI_Abort(MPI_COMM_WORLD, 1);
    _exit(1);
  }
  void rest(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Call> calls_;  // the first is on its way
  bool ready_ = false, awaited_ = false, leaving_ = false, failed_ = false;
  std::string failure_;
  Traffic traffic_;
  std::atomic<double> timeout_{kProcessTimeout};

  std::vector<std::pair<Tensor, Tensor>> begun_on_gpu_;
  std::thread thread_;

  MPI_Comm world_ = MPI_COMM_NULL, signs_ = MPI_COMM_NULL;
  MPI_Request sending_ = MPI_REQUEST_NULL, receiving_ = MPI_REQUEST_NULL;
  int sent_ = 0, received_ = 0;
  bool waiting_ = false, said_goodbye_ = false;
  Clock::time_point last_sent_, last_heard_, last_round_;
};

// Part r of x is added up by rank r: it gets that part from all, adds in the order of ranks, and
// gives the sum to all. A process sends and receives 2 (size - 1) / size of x, which is the least
// that any sum can do.
void MpiRoom::sum_piece(const Tensor& x) {
  struct Parts {
    Tensor received;                                      // (size, part of mine)
    std::vector<int> begin, count, own_begin, own_count;  // bytes
  };
  auto parts = std::make_shared<Parts>();
  const int64_t n = x.numel(), each = int64_t(size_of(x.dtype()));
  auto bound = [n, size = size()](int64_t r) { return n * r / size; };
  const int64_t mine = bound(rank() + 1) - bound(rank());
  for (int64_t r = 0; r < size(); ++r) {
    parts->begin.push_back(int(each * bound(r)));
    parts->count.push_back(int(each * (bound(r + 1) - bound(r))));
    parts->own_begin.push_back(int(each * mine * r));
    parts->own_count.push_back(int(each * mine));
  }
  parts->received = Tensor::empty({size(), mine}, x.dtype());
  Call call;
  call.start = [=, this](MPI_Request* request) {
    check(MPI_Ialltoallv(x.raw(), parts->count.data(), parts->begin.data(), MPI_BYTE,
                         parts->received.raw(), parts->own_count.data(), parts->own_begin.data(),
                         MPI_BYTE, world_, request),
          "sum");
  };
  call.then = [=, this](Call& again) {
    const Tensor sum = x.slice(bound(rank()), bound(rank() + 1));
    sum.copy_from(parts->received.slice(0, 1));
    for (int64_t r = 1; r < size(); ++r) sum.add_from(parts->received.slice(r, r + 1));
    again.start = [=, this](MPI_Request* request) {
      check(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_BYTE, x.raw(), parts->count.data(),
                            parts->begin.data(), MPI_BYTE, world_, request),
            "sum");
    };
  };
  ask(std::move(call));
}

void MpiRoom::do_all_gather(const Tensor& x, const Tensor& all) {
  const Tensor from = x.to(Device::cpu);
  const Tensor to = all.device() == Device::cpu ? all : Tensor::empty(all.shape(), all.dtype());
  const int64_t bytes = int64_t(x.nbytes());
  auto piece = std::make_shared<std::vector<char>>();
  for (int64_t i = 0; i < bytes; i += kPiece) {
    const int64_t n = std::min(kPiece, bytes - i);
    Call call;
    call.start = [=, this](MPI_Request* request) {
      piece->resize(size_t(n * size()));
      check(MPI_Iallgather(static_cast<char*>(from.raw()) + i, int(n), MPI_BYTE, piece->data(),
                           int(n), MPI_BYTE, world_, request),
            "gather");
    };
    call.then = [=, this](Call&) {
      for (int64_t r = 0; r < size(); ++r)
        std::memcpy(static_cast<char*>(to.raw()) + r * bytes + i, piece->data() + r * n, size_t(n));
    };
    ask(std::move(call));
  }
  wait_for_all();
  if (!to.same_as(all)) all.copy_from(to);
}

void MpiRoom::work() {
  int level = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level);
  MPI_Comm_dup(MPI_COMM_WORLD, &world_);
  MPI_Comm_dup(MPI_COMM_WORLD, &signs_);
  for (MPI_Comm comm : {world_, signs_}) MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  int rank_of_mpi = 0, size_of_mpi = 0;
  MPI_Comm_rank(world_, &rank_of_mpi), MPI_Comm_size(world_, &size_of_mpi);
  try {
    CHECK(rank_of_mpi == rank() && size_of_mpi == size(), "MPI counts this process as rank ",
          rank_of_mpi, " of ", size_of_mpi, ", the environment says rank ", rank(), " of ", size(),
          "; start it with the mpirun of the MPI that it was built with, or srun --mpi=pmix");
    last_heard_ = last_round_ = Clock::now();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ready_ = true;
    }
    changed_.notify_all();
    live();
  } catch (const std::exception& e) {
    give_up(e.what());
  }
  for (MPI_Request* request : {&receiving_, &sending_})
    if (*request != MPI_REQUEST_NULL) {
      MPI_Cancel(request);
      MPI_Request_free(request);
    }
  MPI_Finalize();
}

// Until all processes have left.
void MpiRoom::live() {
  Call goodbye{[this](MPI_Request* r) { check(MPI_Ibarrier(signs_, r), "the end"); }};
  Clock::time_point begun;  // of the call on its way
  for (;;) {
    exchange_signs();
    if (is_first()) listen_for_failures();
    std::unique_lock<std::mutex> lock(mutex_);
    if (failed_) {
      const std::string message = failure_;
      lock.unlock();
      give_up(message);
    }
    if (!calls_.empty()) {
      // The program adds calls at the other end: the first stays where it is without the lock.
      Call& call = calls_.front();
      lock.unlock();
      if (!waiting_) begun = Clock::now();
      const bool done = call.next();
      lock.lock();
      waiting_ = !done;
      if (done) {
        traffic_.seconds += seconds_since(begun);
        calls_.pop_front();
      }
      if (calls_.empty()) changed_.notify_all();
    } else if (leaving_) {
      lock.unlock();
      said_goodbye_ = true;
      if (goodbye.next()) return;
      lock.lock();
    }
    rest(lock);
  }
}

// At once where somebody waits for a call; a little where one is on its way; else until one comes.
void MpiRoom::rest(std::unique_lock<std::mutex>& lock) {
  if (calls_.empty() && !leaving_ && !failed_) {
    changed_.wait_for(lock, std::chrono::milliseconds(100));
  } else if (awaited_) {
    lock.unlock();
    sched_yield();
  } else {
    changed_.wait_for(lock, kPoll);
  }
}

// Each process tells the next one that it lives, and listens to the one before. The program may
// compute or wait as long as it likes; a process that was stopped or cut off is silent.
void MpiRoom::exchange_signs() {
  const auto now = Clock::now();
  // A pause of this process, as when a computer sleeps, is no silence of the others.
  if (seconds_since(last_round_) > kSignInterval + 1) last_heard_ = now;
  last_round_ = now;
  const int next = int((rank() + 1) % size()), before = int((rank() + size() - 1) % size());
  int done = 0;
  if (receiving_ == MPI_REQUEST_NULL)
    check(MPI_Irecv(&received_, 1, MPI_INT, before, kSignTag, signs_, &receiving_), "a sign");
  check(MPI_Test(&receiving_, &done, MPI_STATUS_IGNORE), "a sign");
  // One that has ended well is no neighbour to wait for.
  if (done && !(received_ == kLeaves && waiting_)) last_heard_ = now;
  check(MPI_Test(&sending_, &done, MPI_STATUS_IGNORE), "a sign");
  if (done && seconds_since(last_sent_) > kSignInterval) {
    last_sent_ = now;
    sent_ = said_goodbye_ ? kLeaves : kStays;
    check(MPI_Isend(&sent_, 1, MPI_INT, next, kSignTag, signs_, &sending_), "a sign");
  }
  const double silent = seconds_since(last_heard_);
  CHECK(silent < timeout_, "process ", before, " of ", size(), " has given no sign of life for ",
        int64_t(silent),
        " s: it has ended or was stopped, or its machine or the network is gone; "
        "the others end too (--process-timeout ",
        timeout_.load(), "), --resume goes on");
}

void MpiRoom::listen_for_failures() {
  int there = 0;
  MPI_Status status;
  check(MPI_Iprobe(MPI_ANY_SOURCE, kFailTag, signs_, &there, &status), "messages");
  if (!there) return;
  std::string message(kLongestMessage, '\0');
  check(MPI_Recv(message.data(), kLongestMessage, MPI_CHAR, MPI_ANY_SOURCE, kFailTag, signs_,
                 &status),
        "messages");
  int length = 0;
  MPI_Get_count(&status, MPI_CHAR, &length);
  message.resize(size_t(length));
  print_line(message);
  end_all();
}

// Rank 0 prints what it hears first, so that all who found the same wrong say it once. Where rank 0
// is the one that is silent, this process prints.
void MpiRoom::give_up(const std::string& message) {
  if (is_first()) {
    print_line(message);
    end_all();
  }
  // Where all have found the same wrong, the first one says it.
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const std::string text =
      str("process ", rank(), ": ", message).substr(0, size_t(kLongestMessage));
  MPI_Request request;
  MPI_Isend(text.data(), int(text.size()), MPI_CHAR, 0, kFailTag, signs_, &request);
  const auto begun = Clock::now();
  for (int done = 0; seconds_since(begun) < kMessageTime;) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  print_line(text);
  end_all();
}

std::unique_ptr<Processes> make_mpi_room(int64_t rank, int64_t size) {
  return std::make_unique<MpiRoom>(rank, size);
}
[[maybe_unused]] const bool known = (rooms::mpi = make_mpi_room, true);

}  // namespace
}  // namespace rmt
