// A sequence of launches, recorded once and repeated as a whole: the GPU starts kernels without the
// host, which for small kernels costs more than they do.
#pragma once
#include <functional>
#include <memory>

namespace rmt::cuda {

// Is one being recorded?
bool recording();

class Graph {
 public:
  Graph();
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  // Runs f with its launches recorded instead of executed. What they read and write stays where it
  // is: memory that f takes from now on belongs to the graph, whoever holds it, so results of f are
  // valid after launch() until the next one. f must neither copy from host memory nor wait for the
  // GPU. Where memory runs out and more can be had, since what f let go of could not go back to the
  // device meanwhile, the recording is thrown away and f runs a second time.
  void capture(const std::function<void()>& f);
  bool captured() const;
  void launch();  // after everything that was launched before

 private:
  void try_to_capture(const std::function<void()>& f);

  struct State;
  std::unique_ptr<State> state_;
};

// Bytes on their way from the GPU to the host while the GPU goes on.
class Readback {
 public:
  explicit Readback(size_t bytes);
  ~Readback();
  Readback(const Readback&) = delete;
  Readback& operator=(const Readback&) = delete;

  void start(const void* x);  // what stands at x when everything launched before is done
  const void* wait();         // for what start() asked, asleep; until the next one

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rmt::cuda
