// Processes that TCP connects, each forked: their calls, and what happens to all when one is
// killed, stopped, fails or does something else. The same room is the one of Room.* when the test
// program is started as torchrun starts it (tests/processes.sh).
#include "core/processes/tcp.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

namespace rmt {
namespace {

// What became of processes: how each ended, as waitpid() says, and all that they wrote to stderr.
struct Ended {
  std::vector<int> status;
  std::string text;

  bool well(size_t r) const { return WIFEXITED(status[r]) && WEXITSTATUS(status[r]) == 0; }
  bool with_error(size_t r) const { return WIFEXITED(status[r]) && WEXITSTATUS(status[r]) == 1; }
  int times(const std::string& part) const {
    int n = 0;
    for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++n;
    return n;
  }
};

[[noreturn]] void be_process(int64_t rank, int64_t size, Listener& listener,
                             const std::function<void(Processes&)>& f) {
  std::vector<Connection> connections;
  try {
    if (rank == 0)
      connections = listener.gather(size);
    else
      connections.push_back(join({"127.0.0.1", listener.port()}, rank, size));
  } catch (const Error& e) {
    (void)!::write(STDERR_FILENO, e.what(), std::string(e.what()).size());
    ::_exit(3);
  }
  {
    const std::unique_ptr<Processes> room = tcp_room(rank, size, std::move(connections));
    try {
      f(*room);
    } catch (const std::exception& e) {
      room->fail(e.what());
    }
  }
  ::_exit(0);
}

// f in `size` processes. One that was stopped is killed when the others have ended.
Ended run(int64_t size, const std::function<void(Processes&)>& f) {
  Listener listener({"127.0.0.1", 0});
  FILE* const log = ::tmpfile();
  std::vector<pid_t> pids;
  for (int64_t rank = 0; rank < size; ++rank) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::dup2(::fileno(log), STDERR_FILENO);
      be_process(rank, size, listener, f);
    }
    pids.push_back(pid);
  }
  Ended ended;
  ended.status.resize(size_t(size));
  std::vector<size_t> stopped;
  for (size_t r = 0; r < pids.size(); ++r) {
    ::waitpid(pids[r], &ended.status[r], WUNTRACED);
    if (WIFSTOPPED(ended.status[r])) stopped.push_back(r);
  }
  for (size_t r : stopped) {
    ::kill(pids[r], SIGKILL);
    ::waitpid(pids[r], &ended.status[r], 0);
  }
  std::rewind(log);
  char bytes[4096];
  for (size_t n; (n = std::fread(bytes, 1, sizeof bytes, log)) > 0;) ended.text.append(bytes, n);
  std::fclose(log);
  return ended;
}

// (1 + 2^-24) - 1/2 is 1/2, and in any other order 1/2 + 2^-24.
TEST(Tcp, EveryCall) {
  for (int64_t size : {2, 3}) {
    const Ended ended = run(size, [](Processes& p) {
      const Tensor x = Tensor::full({5}, std::vector<double>{1, 0x1p-24, -0.5}[size_t(p.rank())]);
      const Tensor later = Tensor::full({3}, double(p.rank() + 1));
      p.start_all_reduce(later);
      p.all_reduce(x);
      CHECK(x.to_vector<float>() == std::vector<float>(5, p.size() == 2 ? 1 : 0.5f),
            "another order of the sum");
      const float sum = p.size() == 2 ? 3 : 6;
      CHECK(later.to_vector<float>() == std::vector<float>(3, sum), "another sum");
      const Tensor rank = Tensor::from<int64_t>({p.rank()}, {1});
      const std::vector<int64_t> all = p.all_gather(rank).to_vector<int64_t>();
      for (int64_t r = 0; r < p.size(); ++r) CHECK(all[size_t(r)] == r, "another rank");
      for (int64_t root = 0; root < p.size(); ++root) {
        const Tensor from = rank.clone();
        p.broadcast(from, root);
        CHECK(from.item<int64_t>() == root, "from another root");
      }
      p.barrier();
      CHECK(p.traffic().seconds > 0, "no traffic");
    });
    for (size_t r = 0; r < size_t(size); ++r) EXPECT_TRUE(ended.well(r)) << ended.text;
    EXPECT_EQ(ended.text, "");
  }
}

// The others are at a barrier meanwhile.
TEST(Tcp, OneIsKilled) {
  for (int64_t one : {0, 1, 2}) {
    const Ended ended = run(3, [one](Processes& p) {
      p.barrier();
      if (p.rank() == one) ::raise(SIGKILL);
      p.barrier();
    });
    for (size_t r = 0; r < 3; ++r)
      EXPECT_TRUE(int64_t(r) == one ? WIFSIGNALED(ended.status[r]) : ended.with_error(r))
          << r << ": " << ended.text;
    // Rank 0 speaks for all. Where it is the one, each must for itself.
    EXPECT_EQ(ended.times(str("process ", one, " of 3 has ended")), one == 0 ? 2 : 1) << ended.text;
  }
}

TEST(Tcp, OneIsStopped) {
  const Ended ended = run(3, [](Processes& p) {
    p.set_timeout(2);
    p.barrier();
    if (p.rank() == 1) ::raise(SIGSTOP);
    p.barrier();
  });
  EXPECT_TRUE(ended.with_error(0) && ended.with_error(2)) << ended.text;
  EXPECT_EQ(ended.times("process 1 of 3 has given no sign of life for 2 s"), 1) << ended.text;
}

TEST(Tcp, OneFails) {
  for (int64_t one : {0, 1, 2}) {
    const Ended ended = run(3, [one](Processes& p) {
      CHECK(p.rank() != one, "the disk is full");
      p.barrier();
    });
    for (size_t r = 0; r < 3; ++r) EXPECT_TRUE(ended.with_error(r)) << ended.text;
    EXPECT_EQ(ended.text,
              one == 0 ? "the disk is full\n" : str("process ", one, ": the disk is full\n"));
  }
}

TEST(Tcp, AllFailAndItIsSaidOnce) {
  const Ended ended = run(3, [](Processes&) { throw Error("no such folder"); });
  for (size_t r = 0; r < 3; ++r) EXPECT_TRUE(ended.with_error(r)) << ended.text;
  EXPECT_EQ(ended.times("no such folder"), 1) << ended.text;
}

TEST(Tcp, CallsThatDisagree) {
  const Ended ended = run(2, [](Processes& p) {
    if (p.is_first())
      p.barrier();
    else
      p.all_reduce(Tensor::zeros({100}));
  });
  EXPECT_TRUE(ended.with_error(0) && ended.with_error(1)) << ended.text;
  EXPECT_EQ(ended.times("makes another call"), 1) << ended.text;
}

// It has ended well, and another still waits for it.
TEST(Tcp, OneLeavesTooEarly) {
  for (int64_t one : {0, 1}) {
    const Ended ended = run(2, [one](Processes& p) {
      p.set_timeout(1);
      if (p.rank() != one) p.barrier();
    });
    EXPECT_TRUE(ended.with_error(size_t(1 - one))) << ended.text;
    EXPECT_NE(ended.text, "");
  }
}

}  // namespace
}  // namespace rmt
