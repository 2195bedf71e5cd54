// What the three forms of retention cost one thread as the sequence grows: seconds of one forward
// pass for 64 to 4096 positions, and the memory held beside q, k, v and y, as a table and as a
// picture.
//
//   parallel     L^2 (D + E) / 2 multiply-adds a head
//   chunkwise    L c (D + E) / 2 + 2 L D E, with chunks of c positions
//   recurrent    2 L D E, and as many products with gamma
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <vector>

#include "core/files/files.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/tensor.h"
#include "examples/log_plot.h"
#include "examples/program.h"
#include "ops/retention/retention.h"

using namespace rmt;

struct Flags {
  int64_t channels = 128;
  int64_t heads = 4;
  int64_t chunk = 64;
  int64_t longest = 4096;
  std::string svg;
};

struct Form {
  ops::RetentionForm form;
  const char *name, *colour;
};
constexpr std::array<Form, 3> kForms = {{{ops::RetentionForm::parallel, "parallel", "#e0701a"},
                                         {ops::RetentionForm::chunkwise, "chunkwise", "#1f83c6"},
                                         {ops::RetentionForm::recurrent, "recurrent", "#2a9d5c"}}};

struct Cost {
  double seconds = 0;
  double bytes = 0;  // held at once beside the inputs and the result
};

struct Row {
  int64_t L;
  std::array<Cost, kForms.size()> forms;
};

static Tensor noise(const Shape& shape, uint64_t stream) {
  Tensor x = Tensor::empty(shape);
  Random random(0, Purpose::test, stream);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = float(random.normal());
  return x;
}

// The mean of at least three runs and of at least half a second of them, in the processor's time:
// one thread computes, and what else the machine does is not counted. f returns its result, which
// is not counted as memory.
template <class F>
static Cost measure(const F& f) {
  f();  // fetches what the others then find in the caches
  Cost cost;
  int runs = 0;
  const std::clock_t start = std::clock();
  do {
    reset_peak_memory();
    const size_t before = memory_use().live;
    const Tensor y = f();
    cost.bytes = double(memory_use().peak - before - y.nbytes());
    ++runs;
    cost.seconds = double(std::clock() - start) / CLOCKS_PER_SEC;
  } while (cost.seconds < 0.5 || runs < 3);
  cost.seconds /= runs;
  return cost;
}

static Row measure_length(const Flags& f, int64_t L) {
  const Shape shape{1, L, f.channels};
  const Tensor q = noise(shape, 1), k = noise(shape, 2), v = noise(shape, 3);
  const Tensor decay = Tensor::full({f.heads}, std::log(0.97));
  const NoGrad off;
  Row row{L, {}};
  for (size_t i = 0; i < kForms.size(); ++i)
    row.forms[i] = measure([&] {
      return ops::retention(q, k, v, decay, {f.heads, kForms[i].form, f.chunk});
    });
  return row;
}

// By what power of the length a cost grows from row a to row b.
static double power(double before, double after, const Row& a, const Row& b) {
  return std::log(after / before) / std::log(double(b.L) / double(a.L));
}

static std::string picture(const Flags& f, const std::vector<Row>& rows) {
  PlotPanel seconds{"seconds of one forward pass", {}, seconds_text};
  PlotPanel bytes{"memory beside q, k, v and y", {}, bytes_text};
  std::vector<double> lengths;
  std::vector<std::string> ticks;
  for (const Row& r : rows) {
    lengths.push_back(double(r.L));
    ticks.push_back(str(r.L));
  }
  for (size_t i = 0; i < kForms.size(); ++i) {
    seconds.lines.push_back({kForms[i].name, kForms[i].colour, {}});
    bytes.lines.push_back({kForms[i].name, kForms[i].colour, {}});
    for (const Row& r : rows) {
      seconds.lines.back().values.push_back(r.forms[i].seconds);
      bytes.lines.back().values.push_back(r.forms[i].bytes);
    }
  }
  return plot(
      seconds, bytes, lengths, ticks,
      str("positions of the sequence; ", f.channels, " channels in ", f.heads, " heads, chunks of ",
          f.chunk, ", one sequence, f32, ", threads(), threads() == 1 ? " thread" : " threads"));
}

static int bench(const Flags& f) {
  set_threads(1);
  CHECK(f.channels % f.heads == 0, "--channels ", f.channels, " are not a multiple of --heads ",
        f.heads);
  std::printf("%9s", "positions");
  for (const Form& form : kForms) std::printf("  %22s", form.name);
  std::printf("\n");
  std::vector<Row> rows;
  for (int64_t L = 64; L <= f.longest; L *= 2) {
    rows.push_back(measure_length(f, L));
    std::printf("%9lld", static_cast<long long>(L));
    for (const Cost& c : rows.back().forms)
      std::printf("  %10s %11s", seconds_text(c.seconds).c_str(), bytes_text(c.bytes).c_str());
    std::printf("\n");
    std::fflush(stdout);
  }
  if (rows.size() > 1) {
    const Row &a = rows[rows.size() - 2], &b = rows.back();
    std::printf("between the last two lengths the time grows with the length to the power of");
    for (size_t i = 0; i < kForms.size(); ++i)
      std::printf("%s %.2f (%s)", i ? "," : "", power(a.forms[i].seconds, b.forms[i].seconds, a, b),
                  kForms[i].name);
    std::printf("\n");
    if (!f.svg.empty()) write_file(f.svg, picture(f, rows));
  }
  return 0;
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app("Time and memory of retention in its three forms.", "bench-retention");
  app.option_defaults()->always_capture_default();
  app.add_option("--channels", f.channels, "channels")->check(CLI::Range(1, 4096));
  app.add_option("--heads", f.heads, "heads")->check(CLI::Range(1, 256));
  app.add_option("--chunk", f.chunk, "positions of a chunk")->check(CLI::Range(1, 65536));
  app.add_option("--longest", f.longest, "positions of the longest sequence")
      ->check(CLI::Range(64, 65536));
  app.add_option("--svg", f.svg, "a picture of it, to this file, of two lengths at least");
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return bench(f); });
}
