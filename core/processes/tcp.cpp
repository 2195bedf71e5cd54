// Processes that TCP connects, without MPI: torchrun has started them, or srun and a user who says
// where they meet (rendezvous.h). Simple, and slow for many: all goes through rank 0.
//
//   rank 1   x1 --\                            /--> sum
//   rank 2   x2 ---+--> rank 0: (x0 + x1) + x2 +--> sum
//
// Rank 0 moves (R - 1) times the bytes of the tensor each way, where mpi.cpp moves less than 2
// times. It is meant for the small tensors of runs whose gradients NCCL carries, and for a few
// processes on one machine.
//
// Two threads stand beside the program. One makes the calls in their order, so that sums go on
// while the program computes; it may wait for ever for a process that computes. The other tells the
// others that this one lives, hears that they do, and ends this process where one does not.
#include "core/processes/tcp.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "core/processes/rooms.h"

namespace rmt {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSignInterval = 1;         // seconds, or a quarter of the timeout
constexpr double kMessageTime = 3;          // seconds for a message to go round
constexpr uint32_t kLongestMessage = 4096;  // bytes of what a failing process has to say

// What goes over the connection for signs: one byte, and after kFails a length and a text.
constexpr char kLives = 'a', kLeaves = 'l', kFails = 'f', kEnd = 'e';

double seconds_since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}

struct Peer {
  int64_t rank = 0;
  Connection to;
  std::string heard;  // bytes of a sign that is not whole yet
  Clock::time_point last_heard = Clock::now();
  bool left = false, gone = false;  // it has said that it leaves; its connection has ended
};

class TcpRoom : public Processes {
 public:
  TcpRoom(int64_t rank, int64_t size, std::vector<Connection> connections);
  ~TcpRoom() override;

  bool recordable() const override { return false; }
  void set_timeout(double seconds) override { timeout_ = seconds; }
  Traffic traffic() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return traffic_;
  }
  [[noreturn]] void fail(const std::string& message) override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (failure_.empty()) failure_ = message.empty() ? "a process has failed" : message;
    }
    for (;;) ::pause();
  }

 private:
  // --- the program's side: tensors on the GPU go through copies on the host ---
  void do_start_all_reduce(const Tensor& x) override {
    const Tensor host = x.to(Device::cpu).detach();
    if (x.device() == Device::cuda) begun_on_gpu_.push_back({x.detach(), host});
    ask([=, this] { sum(host); });
  }
  void do_wait() override {
    wait_for_all();
    for (auto& [x, host] : begun_on_gpu_) x.copy_from(host);
    begun_on_gpu_.clear();
  }
  void do_broadcast(const Tensor& x, int64_t root) override {
    const Tensor host = x.to(Device::cpu).detach();
    ask([=, this] { tell(host, root); });
    wait_for_all();
    if (x.device() == Device::cuda && rank() != root) x.copy_from(host);
  }
  void do_all_gather(const Tensor& x, const Tensor& all) override {
    const Tensor from = x.to(Device::cpu).detach();
    const Tensor to = all.device() == Device::cpu ? all : Tensor::empty(all.shape(), all.dtype());
    ask([=, this] { gather(from, to); });
    wait_for_all();
    if (!to.same_as(all)) all.copy_from(to);
  }
  void do_barrier() override {
    const Tensor one = Tensor::zeros({1}, DType::u8), all = Tensor::zeros({size()}, DType::u8);
    ask([=, this] { gather(one, all); });
    wait_for_all();
  }
  void ask(std::function<void()> call);
  void wait_for_all();

  // --- the calls ---
  void work();
  void sum(const Tensor& x);
  void tell(const Tensor& x, int64_t root);
  void gather(const Tensor& x, const Tensor& all);
  void send(const Peer& to, char call, const void* p, size_t bytes);
  void receive(const Peer& from, char call, void* p, size_t bytes);

  // --- the signs ---
  void live();
  void say(Peer& to, char sign);
  void hear(Peer& from);
  void take_signs(Peer& from);
  bool all_have_left() const;
  [[noreturn]] void give_up(const std::string& message);
  [[noreturn]] void end_all();

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::function<void()>> calls_;  // the first is on its way
  bool leaving_ = false;
  std::string failure_;
  Traffic traffic_;
  std::atomic<double> timeout_{kProcessTimeout};
  std::atomic<bool> waiting_{false};  // a call is on its way

  std::vector<std::pair<Tensor, Tensor>> begun_on_gpu_;
  std::vector<Peer> peers_;  // of rank 0 all others, of these rank 0
  std::thread calls_thread_, signs_thread_;
};

TcpRoom::TcpRoom(int64_t rank, int64_t size, std::vector<Connection> connections)
    : Processes(rank, size) {
  for (size_t r = 0; r < connections.size(); ++r)
    if (connections[r].signs) {
      peers_.emplace_back();
      peers_.back().rank = int64_t(r);
      peers_.back().to = std::move(connections[r]);
    }
  calls_thread_ = std::thread([this] { work(); });
  signs_thread_ = std::thread([this] { live(); });
}

TcpRoom::~TcpRoom() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    leaving_ = true;
  }
  changed_.notify_all();
  calls_thread_.join();
  signs_thread_.join();
}

void TcpRoom::ask(std::function<void()> call) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    calls_.push_back(std::move(call));
  }
  changed_.notify_all();
}

void TcpRoom::wait_for_all() {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto begun = Clock::now();
  changed_.wait(lock, [&] { return calls_.empty(); });
  traffic_.waited += seconds_since(begun);
}

void TcpRoom::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return leaving_ || !calls_.empty(); });
    if (calls_.empty()) return;
    // The program adds calls at the other end: the first stays where it is without the lock.
    const std::function<void()>& call = calls_.front();
    lock.unlock();
    waiting_ = true;
    const auto begun = Clock::now();
    try {
      call();
    } catch (const std::exception& e) {
      fail(e.what());
    }
    waiting_ = false;
    lock.lock();
    traffic_.seconds += seconds_since(begun);
    calls_.pop_front();
    if (calls_.empty()) changed_.notify_all();
  }
}

void TcpRoom::sum(const Tensor& x) {
  if (is_first()) {
    const Tensor other = Tensor::empty(x.shape(), x.dtype());
    for (const Peer& p : peers_) {
      receive(p, 's', other.raw(), other.nbytes());
      x.add_from(other);
    }
  } else {
    send(peers_[0], 's', x.raw(), x.nbytes());
  }
  tell(x, 0);
}

// By way of rank 0, where another has it.
void TcpRoom::tell(const Tensor& x, int64_t root) {
  if (rank() == root && root != 0) return send(peers_[0], 'b', x.raw(), x.nbytes());
  if (!is_first()) return receive(peers_[0], 'b', x.raw(), x.nbytes());
  if (root != 0) receive(peers_[size_t(root - 1)], 'b', x.raw(), x.nbytes());
  for (const Peer& p : peers_)
    if (p.rank != root) send(p, 'b', x.raw(), x.nbytes());
}

void TcpRoom::gather(const Tensor& x, const Tensor& all) {
  char* const begin = static_cast<char*>(all.raw());
  if (is_first()) {
    std::memcpy(begin, x.raw(), x.nbytes());
    for (const Peer& p : peers_) receive(p, 'g', begin + size_t(p.rank) * x.nbytes(), x.nbytes());
  } else {
    send(peers_[0], 'g', x.raw(), x.nbytes());
  }
  tell(all, 0);
}

struct Header {
  uint64_t call, bytes;
};

// A connection that has ended is first of all news of the one who lives no more, which the other
// thread hears and says better.
static void lost(int64_t rank) {
  std::this_thread::sleep_for(std::chrono::duration<double>(kMessageTime));
  throw Error(str("the connection to process ", rank, " has ended; --resume goes on"));
}

void TcpRoom::send(const Peer& to, char call, const void* p, size_t bytes) {
  const Header header{uint64_t(call), bytes};
  if (!to.to.numbers.send(&header, sizeof header) || !to.to.numbers.send(p, bytes)) lost(to.rank);
}

void TcpRoom::receive(const Peer& from, char call, void* p, size_t bytes) {
  Header header{};
  if (!from.to.numbers.receive(&header, sizeof header)) lost(from.rank);
  CHECK(header.call == uint64_t(call) && header.bytes == bytes, "process ", from.rank,
        " makes another call than process ", rank(), ": it sends ", header.bytes,
        " bytes where these were to be ", bytes);
  if (!from.to.numbers.receive(p, bytes)) lost(from.rank);
}

// Until all have said that they leave: then rank 0 closes, and the others see it.
void TcpRoom::live() {
  bool left = false;
  Clock::time_point last_said{}, last_round = Clock::now();
  for (;;) {
    const double timeout = timeout_, interval = std::min(kSignInterval, timeout / 4);
    std::vector<pollfd> fds;
    for (const Peer& p : peers_) fds.push_back({p.gone ? -1 : p.to.signs.fd(), POLLIN, 0});
    ::poll(fds.data(), fds.size(), int(std::min(0.1, interval) * 1000) + 1);
    // A pause of this process, as when a computer sleeps, is no silence of the others.
    if (seconds_since(last_round) > timeout / 2)
      for (Peer& p : peers_) p.last_heard = Clock::now();
    last_round = Clock::now();
    for (Peer& p : peers_)
      if (!p.gone) hear(p);

    std::unique_lock<std::mutex> lock(mutex_);
    if (!failure_.empty()) {
      const std::string message = failure_;
      lock.unlock();
      give_up(message);
    }
    const bool leaves = leaving_ && calls_.empty();
    lock.unlock();
    if (seconds_since(last_said) > interval || leaves != left) {
      last_said = Clock::now();
      // One who leaves says no more, so that nothing is unread when rank 0 closes.
      for (Peer& p : peers_)
        if (!left || is_first()) say(p, leaves && !left ? kLeaves : kLives);
      left = leaves;
    }
    if (left && (is_first() ? all_have_left() : peers_[0].gone)) return;
    for (Peer& p : peers_)
      if (!p.gone && seconds_since(p.last_heard) > timeout)
        give_up(str("process ", p.rank, " of ", size(), " has given no sign of life for ",
                    int64_t(timeout),
                    " s: it has ended or was stopped, or its machine or the network is gone; the "
                    "others end too (--process-timeout ",
                    timeout, "), --resume goes on"));
  }
}

bool TcpRoom::all_have_left() const {
  return std::all_of(peers_.begin(), peers_.end(), [](const Peer& p) { return p.left; });
}

// Signs are small and never waited for. A connection that takes none is a silence on the other end.
void TcpRoom::say(Peer& to, char sign) {
  if (!to.gone) (void)!::send(to.to.signs.fd(), &sign, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void TcpRoom::hear(Peer& from) {
  char bytes[1024];
  for (;;) {
    const ssize_t n = ::recv(from.to.signs.fd(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0) {
      from.heard.append(bytes, size_t(n));
      take_signs(from);
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    from.gone = true;
    break;
  }
  // Rank 0 waits no more for one that has left, unless a call does; the others wait for its end.
  if (from.left && is_first() && !waiting_) from.last_heard = Clock::now();
  if (from.gone && (!from.left || waiting_))
    give_up(str("process ", from.rank, " of ", size(),
                " has ended before the others; they end too, --resume goes on"));
}

void TcpRoom::take_signs(Peer& from) {
  std::string& s = from.heard;
  size_t at = 0;
  for (; at < s.size(); ++at) {
    if (s[at] == kEnd) ::_exit(1);
    if (s[at] == kLeaves) from.left = true;
    if (s[at] == kFails) {
      uint32_t length = 0;
      if (s.size() - at < 1 + sizeof length) break;
      std::memcpy(&length, s.data() + at + 1, sizeof length);
      if (s.size() - at < 1 + sizeof length + length) break;
      print_line(s.substr(at + 1 + sizeof length, length));
      end_all();
    }
    // After its last call a process that has left is not waited for.
    if (!(from.left && waiting_)) from.last_heard = Clock::now();
  }
  s.erase(0, at);
}

// Rank 0 prints what it hears first, so that all who found the same wrong say it once. Where rank 0
// is the one that is gone, each of the others says so.
void TcpRoom::give_up(const std::string& message) {
  if (is_first()) {
    print_line(message);
    end_all();
  }
  // Where all have found the same wrong, the first one says it.
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const std::string text = str("process ", rank(), ": ", message).substr(0, kLongestMessage);
  const uint32_t length = uint32_t(text.size());
  const Socket& signs = peers_[0].to.signs;
  if (!peers_[0].gone && signs.send(&kFails, 1, kMessageTime) &&
      signs.send(&length, sizeof length, kMessageTime) &&
      signs.send(text.data(), length, kMessageTime))
    for (char sign = kLives; signs.receive(&sign, 1, kMessageTime);)
      if (sign == kEnd) ::_exit(1);
  print_line(text);
  ::_exit(1);
}

// Rank 0 tells all, and goes when they are gone.
void TcpRoom::end_all() {
  for (Peer& p : peers_) say(p, kEnd);
  const auto begun = Clock::now();
  for (const Peer& p : peers_)
    for (char sign = 0; p.to.signs.receive(&sign, 1, 0.5) && seconds_since(begun) < kMessageTime;) {
    }
  ::_exit(1);
}

}  // namespace

std::unique_ptr<Processes> tcp_room(int64_t rank, int64_t size,
                                    std::vector<Connection> connections) {
  return std::make_unique<TcpRoom>(rank, size, std::move(connections));
}

std::unique_ptr<Processes> tcp_room_of_environment(int64_t rank, int64_t size) {
  const Address address = address_of_environment();
  std::vector<Connection> connections;
  if (rank == 0)
    connections = Listener(address).gather(size);
  else
    connections.push_back(join(address, rank, size));
  return tcp_room(rank, size, std::move(connections));
}

}  // namespace rmt
