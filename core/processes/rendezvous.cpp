#include "core/processes/rendezvous.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

namespace rmt {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kHelloTime = 1;    // seconds that a connection has to say who it is
constexpr double kConnectTime = 5;  // seconds for one try to connect
constexpr uint32_t kLongestError = 4096;
constexpr std::chrono::milliseconds kRetry{50};  // between two tries to connect

// Seconds that remain; for ever is a year.
class Deadline {
 public:
  explicit Deadline(double seconds)
      : end_(Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                std::chrono::duration<double>(seconds > 0 ? seconds : 3e7))) {}
  double left() const { return std::chrono::duration<double>(end_ - Clock::now()).count(); }

 private:
  Clock::time_point end_;
};

// Waits until fd can be read (POLLIN) or written (POLLOUT); false when that is not in time.
bool wait_for(int fd, short events, const Deadline& deadline) {
  for (;;) {
    const double left = deadline.left();
    if (left <= 0) return false;
    pollfd p{fd, events, 0};
    const int n = ::poll(&p, 1, int(std::min(left, 1000.0) * 1000) + 1);
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return false;
  }
}

// The first bytes of a connection. Both ends are the same program on machines of one kind.
struct Hello {
  char name[8];
  int64_t rank, size, channel;
};
constexpr char kName[8] = {'r', 'm', 't', ' ', 't', 'c', 'p', '1'};

bool send_text(const Socket& s, const std::string& text) {
  const uint32_t length = uint32_t(std::min(text.size(), size_t(kLongestError)));
  return s.send(&length, sizeof length, kHelloTime) && s.send(text.data(), length, kHelloTime);
}
bool receive_text(const Socket& s, std::string& text, double seconds) {
  uint32_t length = 0;
  if (!s.receive(&length, sizeof length, seconds) || length > kLongestError) return false;
  text.resize(length);
  return s.receive(text.data(), length, kHelloTime);
}

using Found = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;
// What the name stands for; of null, all addresses of this machine.
Found addresses_of(const char* host, int port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (host ? 0 : AI_PASSIVE);
  const int error = ::getaddrinfo(host, std::to_string(port).c_str(), &hints, &found);
  if (error != 0)
    throw LocalError(str("MASTER_ADDR ", host ? host : "", " does not resolve (",
                         ::gai_strerror(error),
                         "); give the name or the number of the machine of rank 0"));
  return {found, ::freeaddrinfo};
}

Socket open_socket(const addrinfo& a) {
  Socket s(::socket(a.ai_family, a.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a.ai_protocol));
  const int on = 1;
  if (s) ::setsockopt(s.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return s;
}

Socket connect_to(const addrinfo& a, const Deadline& deadline) {
  Socket s = open_socket(a);
  if (!s) return s;
  if (::connect(s.fd(), a.ai_addr, a.ai_addrlen) == 0) return s;
  if (errno != EINPROGRESS && errno != EINTR) return {};
  int error = 0;
  socklen_t size = sizeof error;
  const Deadline one(std::max(1e-3, std::min(kConnectTime, deadline.left())));
  if (!wait_for(s.fd(), POLLOUT, one))
    error = ETIMEDOUT;
  else if (::getsockopt(s.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
    error = errno;
  if (error == 0) return s;
  errno = error;
  return {};
}

}  // namespace

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Socket::~Socket() {
  if (fd_ >= 0) ::close(fd_);
}

bool Socket::send(const void* data, size_t bytes, double seconds) const {
  const Deadline deadline(seconds);
  for (size_t done = 0; done < bytes;) {
    const ssize_t n =
        ::send(fd_, static_cast<const char*>(data) + done, bytes - done, MSG_NOSIGNAL);
    if (n >= 0)
      done += size_t(n);
    else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!wait_for(fd_, POLLOUT, deadline)) return false;
    } else if (errno != EINTR)
      return false;
  }
  return true;
}

bool Socket::receive(void* data, size_t bytes, double seconds) const {
  const Deadline deadline(seconds);
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = ::recv(fd_, static_cast<char*>(data) + done, bytes - done, 0);
    if (n > 0)
      done += size_t(n);
    else if (n == 0)
      return false;
    else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!wait_for(fd_, POLLIN, deadline)) return false;
    } else if (errno != EINTR)
      return false;
  }
  return true;
}

Address address_of_environment() {
  const char *host = std::getenv("MASTER_ADDR"), *port = std::getenv("MASTER_PORT");
  CHECK(host && *host && port,
        "MASTER_ADDR and MASTER_PORT in the environment say where the processes meet, and ",
        host && *host ? "MASTER_PORT" : "MASTER_ADDR",
        " is not there; set MASTER_ADDR to the machine of rank 0 and MASTER_PORT to a port that is "
        "free there, such as 29500, or start the program by torchrun");
  Address address{host, 0};
  const char* end = port + std::strlen(port);
  const auto [last, error] = std::from_chars(port, end, address.port);
  CHECK(error == std::errc() && last == end && address.port > 0 && address.port < 65536,
        "MASTER_PORT=", port, " in the environment is no port; give a number from 1024 to 65535");
  const char* taken = std::getenv("TORCHELASTIC_USE_AGENT_STORE");
  if (taken && std::strcmp(taken, "True") == 0) address.port += address.port < 65535 ? 1 : -1;
  return address;
}

Listener::Listener(const Address& address) : address_(address) {
  const std::string& host = address.host;
  const bool own = host == "localhost" || host == "127.0.0.1" || host == "::1";
  const Found found = addresses_of(own ? host.c_str() : nullptr, address.port);
  int error = 0;
  // IPv6 first, where there is any: a socket of it takes connections of both kinds.
  for (int family : {AF_INET6, AF_INET})
    for (const addrinfo* a = found.get(); a && !socket_; a = a->ai_next) {
      if (a->ai_family != family) continue;
      Socket s = open_socket(*a);
      const int on = 1, off = 0;
      if (s) ::setsockopt(s.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      if (s && family == AF_INET6)
        ::setsockopt(s.fd(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
      if (s && ::bind(s.fd(), a->ai_addr, a->ai_addrlen) == 0 && ::listen(s.fd(), 1024) == 0)
        socket_ = std::move(s);
      else if (error != EADDRINUSE)
        error = errno;
    }
  CHECK(socket_ || error != EADDRINUSE, "port ", address.port, " is in use on ", host,
        ", where the processes were to meet; give another MASTER_PORT");
  CHECK(socket_, "the processes cannot meet at ", host, ", port ", address.port, ": ",
        std::strerror(error), "; give another MASTER_PORT");
}

int Listener::port() const {
  sockaddr_storage a{};
  socklen_t size = sizeof a;
  ::getsockname(socket_.fd(), reinterpret_cast<sockaddr*>(&a), &size);
  return ntohs(a.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(a).sin6_port
                                       : reinterpret_cast<sockaddr_in&>(a).sin_port);
}

// What rank 0 finds wrong with a process that has come, or "".
static std::string wrong_with(const Hello& h, int64_t size, const std::vector<Connection>& all) {
  if (h.size != size)
    return str("process ", h.rank, " was told that there are ", h.size, " processes, process 0 of ",
               size, " (WORLD_SIZE); start all with the same number");
  if (h.rank < 1 || h.rank >= size)
    return str("a process has come as rank ", h.rank, " of ", size, " (RANK)");
  const Connection& c = all[size_t(h.rank)];
  if (h.channel == 0 ? bool(c.numbers) : bool(c.signs))
    return str("two processes have come as rank ", h.rank,
               " (RANK); number them 0, 1, ..., or give another run another MASTER_PORT");
  return "";
}

std::vector<Connection> Listener::gather(int64_t size, double seconds) {
  const Deadline deadline(seconds);
  std::vector<Connection> all{size_t(size)};
  std::string wrong;
  for (int64_t missing = 2 * (size - 1); missing > 0 && wrong.empty();) {
    if (!wait_for(socket_.fd(), POLLIN, deadline)) {
      int64_t r = 1;
      while (all[size_t(r)].numbers && all[size_t(r)].signs) ++r;
      wrong = str("process ", r, " of ", size, " has not come to ", address_.host, ", port ",
                  port(), ", within ", seconds,
                  " s; start all of them, and see that its machine reaches that port");
      break;
    }
    Socket s(::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    Hello h{};
    // Whoever says nothing, or something else, is none of us.
    if (!s || !s.receive(&h, sizeof h, kHelloTime) || std::memcmp(h.name, kName, sizeof kName) ||
        h.channel < 0 || h.channel > 1)
      continue;
    const int on = 1;
    ::setsockopt(s.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    wrong = wrong_with(h, size, all);
    if (!send_text(s, wrong) || !wrong.empty()) continue;
    Connection& c = all[size_t(h.rank)];
    (h.channel == 0 ? c.numbers : c.signs) = std::move(s);
    --missing;
  }
  for (const Connection& c : all)
    if (c.numbers) send_text(c.numbers, wrong);
  socket_ = {};
  CHECK(wrong.empty(), wrong);
  return all;
}

// Waits for rank 0's word that all have come.
static void hear_of_all(const Socket& first, const Address& address, double seconds) {
  std::string wrong;
  if (!receive_text(first, wrong, seconds))
    throw LocalError(str("process 0 at ", address.host, ", port ", address.port,
                         ", has ended before all had come"));
  CHECK(wrong.empty(), wrong);
}

// A connection that rank 0 has accepted. It may not listen yet, and shows out who speaks too late:
// once more, then, unless it has given up meanwhile, as it says by the `first` connection.
static Socket come(const Address& address, const Hello& hello, const Deadline& deadline,
                   const Socket* first = nullptr) {
  const Found found = addresses_of(address.host.c_str(), address.port);
  std::string why = "no connection", wrong;
  do {
    for (const addrinfo* a = found.get(); a; a = a->ai_next) {
      Socket s = connect_to(*a, deadline);
      if (!s)
        why = std::strerror(errno);
      else if (!s.send(&hello, sizeof hello, kHelloTime) ||
               !receive_text(s, wrong, std::max(1e-3, deadline.left())))
        why = "what listens there is no process 0 of this program, or waits for nobody";
      else if (wrong.empty())
        return s;
      else
        throw Error(wrong);
    }
    std::this_thread::sleep_for(kRetry);
    if (first && wait_for(first->fd(), POLLIN, Deadline(1e-3)))
      hear_of_all(*first, address, kHelloTime);
  } while (deadline.left() > 0);
  throw LocalError(str("process ", hello.rank, " of ", hello.size, " cannot reach process 0 at ",
                       address.host, ", port ", address.port, " (", why,
                       "); MASTER_ADDR must be the machine of rank 0, and its port be open"));
}

Connection join(const Address& address, int64_t rank, int64_t size, double seconds) {
  const Deadline deadline(seconds);
  Connection c;
  Hello hello{{}, rank, size, 0};
  std::memcpy(hello.name, kName, sizeof kName);
  c.numbers = come(address, hello, deadline);
  hello.channel = 1;
  c.signs = come(address, hello, deadline, &c.numbers);
  // Rank 0 may have begun to wait for the others only now.
  hear_of_all(c.numbers, address, seconds + 2 * kHelloTime);
  return c;
}

}  // namespace rmt
