// First tour: tensors. Build and run:  make && build/bin/tour_tensor
#include <cstdio>
#include <iostream>

#include "core/random.h"
#include "ops/linear.h"
#include "ops/mean_pool.h"
#include "ops/softmax.h"

using namespace rmt;

// Prints the rows of a matrix of floats.
static void print(const char* name, const Tensor& x) {
  std::cout << name << " " << x.dtype() << " " << x.shape() << "\n";
  for (int64_t i = 0; i < x.dim(0); ++i) {
    for (int64_t j = 0; j < x.dim(1); ++j)
      std::printf(" %7.3f", double(x.data<float>()[i * x.dim(1) + j]));
    std::cout << "\n";
  }
}

int main() {
  // A tensor is a block of numbers and its shape. The last dimension runs fastest (row-major) and
  // there are no strides: element (i, j) of a (2, 3) tensor is data()[i * 3 + j], always.
  Tensor x = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  print("x", x);

  // A Tensor is a handle: copying it copies no numbers. view() and slice() are handles to the same
  // numbers, clone() makes its own.
  Tensor same = x, flat = x.view({6}), row = x.slice(1, 2), own = x.clone();
  same.data<float>()[0] = 100;
  std::cout << "written through a second handle: x " << x.data<float>()[0] << ", its view "
            << flat.data<float>()[0] << ", the clone " << own.data<float>()[0] << "\n";
  print("second row", row);

  // What is done with tensors are the functions of ops/, one page each: ops/linear.h declares
  // linear with its formula and shapes. Each returns a new tensor.
  Tensor w = Tensor::from<float>({1, 0, -1, 0.5f, 0.5f, 0.5f}, {2, 3});  // (outputs, inputs)
  print("linear(own, w) = own w^T", ops::linear(own, w));
  print("softmax over the last dimension", ops::softmax(own));

  // Images are (B, H, W, C), channels last: the C values of one pixel stand side by side. That is
  // why nothing in this library ever permutes.
  Tensor image = Tensor::full({1, 4, 4, 3}, 0.5);
  std::cout << "mean over the pixels of " << image.shape() << " is "
            << ops::mean_pool(image).shape() << "\n";

  // Numbers of another type: f32 computes, f64 checks, bf16 stores, integers are labels and bytes.
  std::cout << "1/3 in f32 " << double(Tensor::full({}, 1. / 3).item<float>()) << ", in bf16 "
            << double(Tensor::full({}, 1. / 3, DType::bf16).to(DType::f32).item<float>()) << "\n";

  // Random numbers are functions of (seed, purpose, indices), never of what was drawn before: a run
  // repeats to the bit on any number of threads.
  Random a(42, Purpose::test, 7), b(42, Purpose::test, 7);
  std::cout << "the same place in the same stream: " << a.uniform() << " " << b.uniform() << "\n";

  // Misuse is an exception that says what was expected, what came and what to do.
  bool refused = false;
  try {
    ops::linear(x, Tensor::zeros({2, 4}));
  } catch (const Error& e) {
    refused = true;
    std::cout << "as expected: " << e.what() << "\n";
  }

  // A tour ends with status 1 when something was not as it says; `make test` runs them all.
  const bool shared = x.data<float>()[0] == 100 && flat.data<float>()[0] == 100;
  const bool cloned = own.data<float>()[0] == 1;
  return refused && shared && cloned ? 0 : 1;
}
