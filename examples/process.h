// What a program meets at its two ends, whoever started it: standard streams that may be closed,
// full or without a reader, and signals whose default would end it in the middle of a file.
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>

namespace rmt {

// To be called before anything else. open() gives the lowest free descriptor: with stderr closed
// (2>&-), a file of data would become descriptor 2, and warnings would be written into it; so
// closed ones become /dev/null. A file beyond its limit (ulimit -f) and a pipe without a reader are
// errors of the call that writes, which knows what to do, and not the end of the process.
inline void begin_process() {
  for (int fd = 0; fd <= 2; ++fd)
    if (::fcntl(fd, F_GETFD) == -1) (void)!::open("/dev/null", O_RDWR);
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
}

// To be called last: the exit status, which is at least 1 when stdout did not take all that was
// printed. A reader that has left (| head) is no failure: it wanted no more.
inline int end_process(const std::string& program, int status) {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) == 0 && !std::ferror(stdout) && std::cout) return status;
  const int error = errno;
  pollfd out{STDOUT_FILENO, POLLOUT, 0};
  if (::poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP))) return status;
  std::cerr << program << ": stdout: cannot write" << (error ? ": " : "")
            << (error ? std::strerror(error) : "")
            << "; what was printed is incomplete, write it to another place" << std::endl;
  return status == 0 ? 1 : status;
}

}  // namespace rmt
