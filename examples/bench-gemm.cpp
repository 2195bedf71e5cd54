// How near the matrix products come to what the processor can do: the peak is measured, not looked
// up, in the same run.
#include <algorithm>
#include <cstdio>

#include "core/parallel.h"
#include "core/tensor.h"
#include "examples/program.h"
#include "ops/kernels/gemm.h"
#include "train/peak.h"
#include "train/run/progress_line.h"

using namespace rmt;

struct Product {
  int64_t M, N, K;
};

template <class F>
static double rate(const Product& p, const F& f) {
  std::vector<double> seconds;
  train::Stopwatch all;
  f();
  while (seconds.size() < 7 || all.seconds() < 0.4) {
    train::Stopwatch clock;
    f();
    seconds.push_back(clock.seconds());
  }
  std::nth_element(seconds.begin(), seconds.begin() + long(seconds.size() / 2), seconds.end());
  return 2e-9 * double(p.M * p.N * p.K) / seconds[seconds.size() / 2];
}

static int bench(int n) {
  set_threads(n);
  std::printf(
      "%d threads. GF/s (share of the peak measured just before). y = x w^T: forward, dx = dy w "
      "and dw = dy^T x: backward.\n",
      n);
  std::printf("%8s %6s %6s  %8s  %16s %16s %16s\n", "rows", "out", "in", "peak", "y", "dx", "dw");
  for (Product p : {Product{512, 512, 512},
                    {1024, 1024, 1024},
                    {2048, 2048, 2048},
                    {25088, 64, 64},
                    {25088, 192, 64},
                    {6272, 512, 128},
                    {1568, 768, 256},
                    {392, 1536, 512}}) {
    auto filled = [](int64_t rows, int64_t columns) {
      Tensor t = Tensor::empty({rows, columns});
      for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = float(i * 7919 % 1000) / 500 - 1;
      return t;
    };
    Tensor x = filled(p.M, p.K), w = filled(p.N, p.K), y = filled(p.M, p.N), dx = filled(p.M, p.K),
           dw = filled(p.N, p.K);
    double top = train::measure_processor_peak(n) / 1e9;
    double forward = rate(p, [&] {
      cpu::multiply_rows<float>(p.M, x.data<float>(), p.K,
                                cpu::PackedB<float>(w.data<float>(), 1, p.K, p.K, p.N),
                                {y.data<float>(), p.N});
    });
    double to_x = rate(p, [&] {
      cpu::multiply_rows<float>(p.M, y.data<float>(), p.N,
                                cpu::PackedB<float>(w.data<float>(), p.K, 1, p.N, p.K),
                                {dx.data<float>(), p.K});
    });
    double to_w = rate(p, [&] {
      cpu::multiply_transposed<float>(p.N, p.K, p.M, y.data<float>(), p.N, x.data<float>(), p.K,
                                      dw.data<float>());
    });
    std::printf("%8ld %6ld %6ld  %8.0f  %8.0f (%3.0f %%) %8.0f (%3.0f %%) %8.0f (%3.0f %%)\n",
                long(p.M), long(p.N), long(p.K), top, forward, 100 * forward / top, to_x,
                100 * to_x / top, to_w, 100 * to_w / top);
  }
  return 0;
}

int main(int argc, char** argv) {
  int n = 1;
  CLI::App app("Measures the matrix products that linear layers need, beside the processor's peak.",
               "bench-gemm");
  app.option_defaults()->always_capture_default();
  app.add_option("--threads", n, "threads")->check(CLI::Range(1, 1024));
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return bench(n); });
}
