// How processes find one another without MPI: the first one listens at an address that all know,
// the others connect to it, again and again until it is there.
//
//   torchrun, or srun and the user: RANK, WORLD_SIZE, MASTER_ADDR=host of rank 0, MASTER_PORT=port
//
//   rank 0   Listener(address), gather()  <--- "rmt", rank, size, channel ---  join()   rank 1
//                                          --- "" or what is wrong --------->           rank 2 ...
//
// Each process gets two connections to rank 0: one for numbers, one for signs of life. Whoever else
// connects to the port is shown out. Nothing is encrypted: the port is for the machines of a run,
// behind the same walls as the port of torchrun.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"

namespace rmt {

// Seconds in which all processes of a run must have come.
constexpr double kMeetingTime = 60;

// What only this process knows to be wrong, so that it must say so itself, whatever its rank.
struct LocalError : Error {
  using Error::Error;
};

// A connection by TCP, or none. Moves, does not copy; closed at its end.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();

  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  // All of it, within `seconds` (0 or less: for ever). False: not in time, or the connection has
  // ended.
  bool send(const void* data, size_t bytes, double seconds = 0) const;
  bool receive(void* data, size_t bytes, double seconds = 0) const;

 private:
  int fd_ = -1;
};

// The two connections to another process.
struct Connection {
  Socket numbers, signs;
};

struct Address {
  std::string host;
  int port = 0;
};
// MASTER_ADDR and MASTER_PORT. Under torchrun that keeps that port for itself
// (TORCHELASTIC_USE_AGENT_STORE=True), the port beside it. Error when there is none that can be.
Address address_of_environment();

// Rank 0's side: takes the port at once. Where the address is this machine's own for itself
// (localhost, 127.0.0.1, ::1) other machines cannot reach it. Error when the port is in use.
class Listener {
 public:
  explicit Listener(const Address& address);  // port 0: any that is free
  int port() const;
  // The connections of ranks 1, 2, ... (size), nothing at [0]. Error when one has not come after
  // `seconds`, and when two have the same rank or another count; those that came are told.
  // Once: it gives the port back.
  std::vector<Connection> gather(int64_t size, double seconds = kMeetingTime);

 private:
  Address address_;
  Socket socket_;
};

// The side of ranks 1, 2, ...: returns when all have come. Error with what rank 0 has found wrong;
// LocalError when it cannot be reached within `seconds`.
Connection join(const Address& address, int64_t rank, int64_t size, double seconds = kMeetingTime);

}  // namespace rmt
