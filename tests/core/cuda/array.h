// What the tests of the device share, real or emulated: arrays on it, errors expected.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "core/cuda/launch.h"

namespace rmt::test {

using cuda::check;
using cuda::launch;
using cuda::stream;

// Numbers on the device.
template <class T>
class Array {
 public:
  explicit Array(size_t n) : n_(n) { check(cudaMalloc(&p, n * sizeof(T)), "cudaMalloc"); }
  explicit Array(const std::vector<T>& values) : Array(values.size()) { write(values); }
  Array(const Array&) = delete;
  ~Array() { cudaFree(p); }
  void write(const std::vector<T>& values) {
    check(cudaMemcpy(p, values.data(), n_ * sizeof(T), cudaMemcpyHostToDevice), "write");
  }
  std::vector<T> read() const {
    std::vector<T> values(n_);
    check(cudaStreamSynchronize(stream()), "read");
    check(cudaMemcpy(values.data(), p, n_ * sizeof(T), cudaMemcpyDeviceToHost), "read");
    return values;
  }
  T* p = nullptr;

 private:
  size_t n_;
};

// Small integers, so that sums are exact in any order.
inline std::vector<float> ramp(size_t n) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = float(i * i % 101) - 50;
  return x;
}

// What f throws, or "".
inline std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// f must throw an Error that has all the parts in its text.
inline void expect_error(const std::function<void()>& f, const std::vector<std::string>& parts) {
  const std::string text = error_of(f);
  EXPECT_NE(text, "") << "no error was thrown";
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in: " << text;
}

// Until all work is done; throws what went wrong in it.
inline void wait() { check(cudaStreamSynchronize(stream()), ""); }

}  // namespace rmt::test
