// What is noted of a step, and the dry run, in which nothing is done.
#ifndef __CUDACC__
#include "core/cuda/emulator/notes.h"

#include <cstring>

#include "autograd/backward.h"
#include "core/tensor.h"
#include "ops/gelu.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/sum.h"
#include "tests/core/cuda/emulated.h"

namespace rmt::test {
namespace {

using emulator::Note;

struct Pack {
  char c;
  const float* p;
};
__global__ void noted_kernel(char, const float*, Pack, int) {}

TEST(Notes, ArgumentsLieAsCudaPassesThem) {
  const Array<float> x(25), y(30);
  std::vector<Note> notes;
  emulator::take_notes(&notes);
  launch("noted", noted_kernel, dim3(2, 3), dim3(4), 16, 'a', x.p + 5, Pack{'b', y.p}, 7);
  emulator::take_notes(nullptr);
  launch("noted", noted_kernel, dim3(1), dim3(1), 0, 'a', x.p, Pack{'b', y.p}, 7);
  wait();
  ASSERT_EQ(notes.size(), 1u);
  const Note& n = notes[0];
  EXPECT_EQ(n.name, "noted");
  EXPECT_EQ(n.kernel, reinterpret_cast<const void*>(noted_kernel));
  EXPECT_EQ(n.grid.y, 3u);
  EXPECT_EQ(n.block.x, 4u);
  EXPECT_EQ(n.shared, 16u);
  // char at 0, pointer at 8, Pack at 16 with its pointer at 24, int at 32.
  ASSERT_EQ(n.arguments.size(), 36u);
  const float* pointer = nullptr;
  std::memcpy(&pointer, &n.arguments[8], 8);
  EXPECT_EQ(pointer, x.p + 5);
  std::memcpy(&pointer, &n.arguments[24], 8);
  EXPECT_EQ(pointer, y.p);
  EXPECT_EQ(n.arguments[32], 7);
  // From the pointer to the block's end.
  ASSERT_EQ(n.memory.size(), 2u);
  EXPECT_EQ(n.memory[0].end - n.memory[0].begin + n.memory[1].end - n.memory[1].begin,
            (20 + 30) * sizeof(float));
}

// gelu(layer norm(x)) w^T + b and its gradients.
void small_step() {
  const auto leaf = [](const Shape& shape) {
    return rmt::leaf(Tensor::full(shape, 0.5, DType::f32).to(Device::cuda));
  };
  const Tensor x = leaf({5, 8}), gamma = leaf({8}), beta = leaf({8}), w = leaf({4, 8}),
               b = leaf({4});
  const Tensor y = ops::linear(ops::gelu(ops::layer_norm(x, gamma, beta, 1e-6)), w, b);
  backward(ops::sum(y));
}

std::vector<Note> notes_of(const std::function<void()>& f) {
  std::vector<Note> notes;
  emulator::take_notes(&notes);
  f();
  wait();
  emulator::take_notes(nullptr);
  return notes;
}

TEST(Notes, ADryRunAsksForTheSame) {
  const Restore restore;
  small_step();  // makes what is kept
  const std::vector<Note> run = notes_of(small_step);
  settings().dry = true;
  const int64_t launches = emulator::counters().launches;
  const std::vector<Note> dry = notes_of(small_step);
  EXPECT_EQ(emulator::counters().launches, launches);
  EXPECT_GT(run.size(), 8u);
  ASSERT_EQ(run.size(), dry.size());
  bool product = false;
  for (size_t i = 0; i < run.size(); ++i) {
    EXPECT_EQ(run[i].name, dry[i].name) << i;
    EXPECT_EQ(run[i].kernel, dry[i].kernel) << run[i].name;
    EXPECT_EQ(run[i].grid.x, dry[i].grid.x) << run[i].name;
    EXPECT_EQ(run[i].block.x, dry[i].block.x) << run[i].name;
    EXPECT_EQ(run[i].product.M, dry[i].product.M) << run[i].name;
    product |= run[i].product.M == 5 && run[i].product.N == 4 && run[i].product.K == 8;
  }
  EXPECT_TRUE(product);
}

TEST(Notes, ADryRunTouchesNoMemory) {
  const Restore restore;
  const Array<float> x(std::vector<float>{1, 2, 3});
  settings().dry = true;
  float host[] = {7, 7, 7};
  check(cudaMemset(x.p, 0, 12), "");
  check(cudaMemcpy(host, x.p, 12, cudaMemcpyDeviceToHost), "");
  EXPECT_EQ(host[1], 0);
  settings().dry = false;
  EXPECT_EQ(x.read()[1], 2);
}

}  // namespace
}  // namespace rmt::test
#endif
