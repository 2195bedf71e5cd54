// Is attention with Manhattan decay linear? Measures what it costs over the whole map, L = H W
// tokens to L tokens, and decomposed, along W and then along H, for maps from 14 x 14 to 224 x 224:
// seconds and memory, as a table and as a picture.
//
//   whole map    2 L^2 C multiply-adds
//   W, then H    2 L (H + W) C multiply-adds: as L^(3/2), neither quadratic nor linear
//
// The memory is what the op holds beside q, k, v and y: our kernels never keep the L x L matrix of
// scores, whose size stands beside it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "core/files/files.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/tensor.h"
#include "examples/log_plot.h"
#include "examples/program.h"
#include "ops/attention/manhattan_attention.h"
#include "ops/attention/rotary.h"
#include "train/run/progress_line.h"

using namespace rmt;

struct Flags {
  int64_t channels = 64;
  int64_t heads = 4;
  int64_t largest = 224;  // side of the largest map
  int threads = 0;
  std::string svg;
};

struct Cost {
  double seconds = 0;
  double bytes = 0;  // held at once beside the inputs and the result
};

struct Row {
  int64_t side;
  Cost whole, decomposed;
};

static Tensor noise(const Shape& shape, uint64_t stream) {
  Tensor x = Tensor::empty(shape);
  Random random(0, Purpose::test, stream);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = float(random.normal());
  return x;
}

// The median of at least three runs; one is enough where it takes seconds. f returns its result,
// which is not counted as memory.
template <class F>
static Cost measure(const F& f) {
  std::vector<double> seconds;
  Cost cost;
  train::Stopwatch all;
  do {
    reset_peak_memory();
    const size_t before = memory_use().live;
    train::Stopwatch clock;
    const Tensor y = f();
    seconds.push_back(clock.seconds());
    const size_t result = size_t(y.numel()) * sizeof(float);
    cost.bytes = double(memory_use().peak - before - result);
  } while (all.seconds() < 1 || (seconds.size() < 3 && all.seconds() < 4));
  std::nth_element(seconds.begin(), seconds.begin() + long(seconds.size() / 2), seconds.end());
  cost.seconds = seconds[seconds.size() / 2];
  return cost;
}

static Row measure_map(const Flags& f, int64_t side) {
  const Shape shape{1, side, side, f.channels};
  const Tensor q = noise(shape, 1), k = noise(shape, 2), v = noise(shape, 3);
  const Tensor decay = Tensor::full({f.heads}, std::log(0.9));
  const Tensor angle = Tensor::full({f.channels / f.heads}, 0.1);
  const Tensor rotary = ops::rotary_table(angle, side, side, DType::f32);
  auto attend = [&](const Tensor& values, ops::Axis axis) {
    return ops::manhattan_attention(q, k, values, decay, rotary, {.heads = f.heads, .axis = axis});
  };
  NoGrad off;
  Row row{.side = side, .whole = {}, .decomposed = {}};
  row.whole = measure([&] { return attend(v, ops::Axis::both); });
  row.decomposed = measure([&] { return attend(attend(v, ops::Axis::W), ops::Axis::H); });
  return row;
}

// By what power of the number of tokens a cost grows between the last two maps.
static double power(double before, double after, const Row& a, const Row& b) {
  return std::log(after / before) / (2 * std::log(double(b.side) / double(a.side)));
}

static std::string picture(const Flags& f, const std::vector<Row>& rows) {
  PlotPanel time{"seconds of one forward pass",
                 {{"whole map", "#e0701a", {}}, {"W, then H", "#1f83c6", {}}},
                 seconds_text};
  PlotPanel memory{"memory beside q, k, v and y",
                   {{"the scores of all heads, if they were kept", "#8a8a8a", {}, true},
                    {"whole map", "#e0701a", {}},
                    {"W, then H", "#1f83c6", {}}},
                   bytes_text};
  std::vector<double> sides;
  std::vector<std::string> ticks;
  for (const Row& r : rows) {
    const double tokens = double(r.side * r.side);
    sides.push_back(double(r.side));
    ticks.push_back(str(r.side, " x ", r.side));
    time.lines[0].values.push_back(r.whole.seconds);
    time.lines[1].values.push_back(r.decomposed.seconds);
    memory.lines[0].values.push_back(4 * double(f.heads) * tokens * tokens);
    memory.lines[1].values.push_back(r.whole.bytes);
    memory.lines[2].values.push_back(r.decomposed.bytes);
  }
  return plot(time, memory, sides, ticks,
              str("tokens of the map; ", f.channels, " channels in ", f.heads,
                  " heads, one image, f32, ", threads(), threads() == 1 ? " thread" : " threads"));
}

static int bench(const Flags& f) {
  if (f.threads > 0) set_threads(f.threads);
  CHECK(f.channels % (2 * f.heads) == 0, "--channels ", f.channels,
        " are not a multiple of 2 x --heads ", f.heads,
        ": rotations act on pairs of a head's channels");
  std::printf("%9s  %22s  %22s  %12s  %s\n", "tokens", "whole map", "W, then H", "scores", "ratio");
  std::vector<Row> rows;
  for (int64_t side = 14; side <= f.largest; side *= 2) {
    const Row r = measure_map(f, side);
    const double tokens = double(side * side);
    std::printf("%3lld x %3lld  %9s %12s  %9s %12s  %12s  %.1f x\n", static_cast<long long>(side),
                static_cast<long long>(side), seconds_text(r.whole.seconds).c_str(),
                bytes_text(r.whole.bytes).c_str(), seconds_text(r.decomposed.seconds).c_str(),
                bytes_text(r.decomposed.bytes).c_str(),
                bytes_text(4 * double(f.heads) * tokens * tokens).c_str(),
                r.whole.seconds / r.decomposed.seconds);
    std::fflush(stdout);
    rows.push_back(r);
  }
  if (rows.size() > 1) {
    const Row &a = rows[rows.size() - 2], &b = rows.back();
    std::printf(
        "between the last two maps the time grows with the tokens to the power of %.2f and "
        "%.2f, the memory %.2f and %.2f\n",
        power(a.whole.seconds, b.whole.seconds, a, b),
        power(a.decomposed.seconds, b.decomposed.seconds, a, b),
        power(a.whole.bytes, b.whole.bytes, a, b),
        power(a.decomposed.bytes, b.decomposed.bytes, a, b));
  }
  if (!f.svg.empty()) write_file(f.svg, picture(f, rows));
  return 0;
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app("Time and memory of attention over a whole map, and along W and then H.",
               "bench-attention");
  app.option_defaults()->always_capture_default();
  app.add_option("--channels", f.channels, "channels")->check(CLI::Range(2, 4096));
  app.add_option("--heads", f.heads, "heads")->check(CLI::Range(1, 256));
  app.add_option("--largest", f.largest, "side of the largest map")->check(CLI::Range(14, 448));
  app.add_option("--threads", f.threads, "threads; 0: RMT_THREADS, else every processor")
      ->check(CLI::Range(0, 1024));
  app.add_option("--svg", f.svg, "a picture of it, to this file");
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return bench(f); });
}
