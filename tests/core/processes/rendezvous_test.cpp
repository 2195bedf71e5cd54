// Processes meet at a port, with strangers at the door and with what is wrong said to all.
#include "core/processes/rendezvous.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdlib>
#include <functional>
#include <thread>

namespace rmt {
namespace {

const char* const kHere = "127.0.0.1";

Socket open_to(int port) {
  Socket s(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(uint16_t(port));
  ::inet_pton(AF_INET, kHere, &a.sin_addr);
  EXPECT_EQ(::connect(s.fd(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  return s;
}

// What f throws; "" where it throws nothing.
std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

void expect_in(const std::string& part, const std::string& text) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << text << "' does not say " << part;
}

// Rank 0 waits at the listener, the others come; each sends its rank by both connections.
void meet(Listener& listener, int64_t size) {
  std::vector<std::thread> others;
  for (int64_t r = 1; r < size; ++r)
    others.emplace_back([port = listener.port(), r, size] {
      const Connection c = join({kHere, port}, r, size);
      const int64_t by_signs = -r;
      EXPECT_TRUE(c.numbers.send(&r, sizeof r));
      EXPECT_TRUE(c.signs.send(&by_signs, sizeof by_signs));
    });
  const std::vector<Connection> all = listener.gather(size);
  ASSERT_EQ(int64_t(all.size()), size);
  EXPECT_FALSE(all[0].numbers);
  for (int64_t r = 1; r < size; ++r) {
    int64_t x = 0, y = 0;
    EXPECT_TRUE(all[size_t(r)].numbers.receive(&x, sizeof x));
    EXPECT_TRUE(all[size_t(r)].signs.receive(&y, sizeof y));
    EXPECT_EQ(x, r);
    EXPECT_EQ(y, -r);
  }
  for (std::thread& t : others) t.join();
}

TEST(Rendezvous, AllMeet) {
  for (int64_t size : {2, 3, 7}) {
    Listener listener({kHere, 0});
    meet(listener, size);
  }
}

TEST(Rendezvous, WhoComesBeforeTheFirstTriesAgain) {
  Socket other(::socket(AF_INET, SOCK_STREAM, 0));
  const int on = 1;
  ::setsockopt(other.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ASSERT_EQ(::listen(other.fd(), 100), 0);  // at any port
  sockaddr_in a{};
  socklen_t size = sizeof a;
  ::getsockname(other.fd(), reinterpret_cast<sockaddr*>(&a), &size);
  const int port = ntohs(a.sin_port);
  std::thread early([port] { EXPECT_NO_THROW(join({kHere, port}, 1, 2)); });
  { const Socket in_vain(::accept(other.fd(), nullptr, nullptr)); }
  other = {};
  Listener listener({kHere, port});
  EXPECT_TRUE(listener.gather(2)[1].numbers);
  early.join();
}

TEST(Rendezvous, StrangersAreShownOut) {
  Listener listener({kHere, 0});
  const Socket silent = open_to(listener.port()), chatty = open_to(listener.port());
  const std::string request = "GET / HTTP/1.1\r\nHost: somebody-else.example\r\n\r\n";
  EXPECT_TRUE(chatty.send(request.data(), request.size()));
  // Another protocol whose numbers would fit.
  const Socket alike = open_to(listener.port());
  const int64_t numbers[] = {-1, 1, 3, 0};
  EXPECT_TRUE(alike.send(numbers, sizeof numbers));
  { open_to(listener.port()); }
  meet(listener, 3);
}

TEST(Rendezvous, APortInUse) {
  const Listener first({kHere, 0});
  const std::string error = error_of([&] { Listener({kHere, first.port()}); });
  expect_in(str("port ", first.port(), " is in use on 127.0.0.1"), error);
  expect_in("MASTER_PORT", error);
}

TEST(Rendezvous, AProcessThatNeverComes) {
  Listener listener({kHere, 0});
  const int port = listener.port();
  std::string told;
  std::thread one([&] { told = error_of([&] { join({kHere, port}, 1, 3); }); });
  const std::string error = error_of([&] { listener.gather(3, 0.5); });
  one.join();
  expect_in("process 2 of 3 has not come", error);
  EXPECT_EQ(told, error);
}

TEST(Rendezvous, AFirstProcessThatNeverComes) {
  int port = 0;
  { port = Listener({kHere, 0}).port(); }
  EXPECT_THROW(join({kHere, port}, 1, 2, 0.2), LocalError);
  expect_in("MASTER_ADDR", error_of([&] { join({kHere, port}, 1, 2, 0.2); }));
  expect_in("does not resolve", error_of([&] { join({std::string(100, 'x'), port}, 1, 2, 0.2); }));
}

TEST(Rendezvous, AnotherProgramAtThePort) {
  const Socket other(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in a{};
  a.sin_family = AF_INET;
  ::inet_pton(AF_INET, kHere, &a.sin_addr);
  ASSERT_EQ(::bind(other.fd(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  ASSERT_EQ(::listen(other.fd(), 100), 0);
  socklen_t size = sizeof a;
  ::getsockname(other.fd(), reinterpret_cast<sockaddr*>(&a), &size);
  std::thread greets([&] {
    const Socket s(::accept(other.fd(), nullptr, nullptr));
    const std::string text(64, '\xff');
    EXPECT_TRUE(s.send(text.data(), text.size()));
    char c = 0;
    while (s.receive(&c, 1)) {
    }
  });
  expect_in("no process 0 of this program", error_of([&] {
              join({kHere, ntohs(a.sin_port)}, 1, 2, 0.5);
            }));
  greets.join();
}

TEST(Rendezvous, NumbersThatDisagree) {
  struct Case {
    int64_t rank, size;
    const char* says;
  };
  for (const Case& c : {Case{1, 3, "3 processes, process 0 of 2"}, Case{2, 2, "rank 2 of 2"}}) {
    Listener listener({kHere, 0});
    std::string told;
    std::thread other([&] {
      told = error_of([&] { join({kHere, listener.port()}, c.rank, c.size); });
    });
    const std::string error = error_of([&] { listener.gather(2); });
    other.join();
    expect_in(c.says, error);
    EXPECT_EQ(told, error);
  }
}

TEST(Rendezvous, TwoOfOneRank) {
  Listener listener({kHere, 0});
  const int port = listener.port();
  std::vector<std::thread> both;
  std::string told[2];
  for (std::string& text : told)
    both.emplace_back([&] { text = error_of([&] { join({kHere, port}, 1, 3, 5); }); });
  const std::string error = error_of([&] { listener.gather(3); });
  for (std::thread& t : both) t.join();
  expect_in("two processes have come as rank 1", error);
  EXPECT_EQ(told[0], error);
  EXPECT_EQ(told[1], error);
}

// While one lives, the variables that say where processes meet are these.
struct Told {
  Told(const char* host, const char* port, const char* agent) {
    set("MASTER_ADDR", host), set("MASTER_PORT", port), set("TORCHELASTIC_USE_AGENT_STORE", agent);
  }
  ~Told() {
    for (const char* n : {"MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE"})
      ::unsetenv(n);
  }
  static void set(const char* name, const char* value) {
    value ? ::setenv(name, value, 1) : ::unsetenv(name);
  }
};

TEST(Rendezvous, TheAddressOfTheEnvironment) {
  const Told told("node-3", "29500", nullptr);
  EXPECT_EQ(address_of_environment().host, "node-3");
  EXPECT_EQ(address_of_environment().port, 29500);
}

TEST(Rendezvous, APortThatTorchrunKeepsIsNotTaken) {
  {
    const Told told("a", "29500", "True");
    EXPECT_EQ(address_of_environment().port, 29501);
  }
  {
    const Told told("a", "29500", "False");
    EXPECT_EQ(address_of_environment().port, 29500);
  }
  const Told told("a", "65535", "True");
  EXPECT_EQ(address_of_environment().port, 65534);
}

TEST(Rendezvous, NoAddress) {
  for (const char* port : {"", "x", "0", "-1", "65536", "29500 ", "99999999999999999999"}) {
    const Told told("a", port, nullptr);
    expect_in("MASTER_PORT", error_of([] { address_of_environment(); }));
  }
  const Told told(nullptr, "29500", nullptr);
  expect_in("MASTER_ADDR is not there", error_of([] { address_of_environment(); }));
}

}  // namespace
}  // namespace rmt
