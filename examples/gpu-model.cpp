// How long would a training step take on an H200? Runs one on the emulated device without doing any
// of it (Settings::dry), and adds up what each launch would move and execute (core/cuda/model/).
#include <cstdio>
#include <iostream>

#include "core/cuda/device.h"
#include "examples/program.h"

#ifdef RMT_CUDA

int main() {
  std::cerr << "gpu-model: this program notes what it asks of the emulated device; build it "
               "without CUDA=1\n";
  return 1;
}

#else

#include <algorithm>
#include <fstream>
#include <sstream>

#include "core/cuda/emulator/machine.h"
#include "core/cuda/limits.h"
#include "core/cuda/model/cost.h"
#include "core/cuda/model/walks.h"
#include "examples/symbols.h"
#include "train/trainer.h"
#include "train/weights/model_file.h"

using namespace rmt;
using emulator::Note;
using gpu_model::Cost;

struct Flags {
  train::TrainOptions model{.model = "rmt_t"};
  int64_t batch = 256;
  int64_t classes = 1000;
  std::string code;
  bool each = false;
};

// The kernels of a folder's *.sass by the short names of their symbols.
static std::map<std::string, gpu_model::Kernel> read_code(const std::string& folder) {
  std::map<std::string, gpu_model::Kernel> kernels;
  if (folder.empty()) return kernels;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".sass") continue;
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    for (auto& [symbol, kernel] : gpu_model::read_machine_code(text.str()))
      kernels[gpu_model::short_name(demangled(symbol))] = std::move(kernel);
  }
  CHECK(!kernels.empty(), folder,
        ": there is no machine code of a kernel; it is made by make "
        "gpu-model, which needs nvcc and nvdisasm");
  return kernels;
}

static data::Batch zeros(const Flags& f) {
  const int64_t B = f.batch, S = f.model.img_size;
  return {.images = Tensor::zeros({B, S, S, 3}, DType::u8, Device::cuda),
          .mirror = Tensor::zeros({B}, DType::u8, Device::cuda),
          .labels = Tensor::zeros({B}, DType::i64, Device::cuda)};
}

struct Step {
  std::vector<Note> notes;
  int64_t parameters = 0;
};

// What the third step asks for: those before make tables that are kept.
static Step dry_step(const Flags& f) {
  const train::Compute compute = train::choose_compute(f.model);
  const auto made = train::make_model(f.model, f.classes);
  nn::Classifier& model = *made;
  model.init(0);
  compute.prepare(model);
  const data::Batch batch = zeros(f);
  train::Optimizer optimizer(model.parameters(), {});
  auto forward = [&](const Tensor& x) { return model.forward(x); };
  train::TrainStep step(model, forward, optimizer, compute, {.smoothing = 0, .graph = false});
  Step third;
  for (const train::OptimizerSlot& slot : optimizer.slots())
    third.parameters += slot.parameter->numel();
  for (int64_t i = 0; i < 3; ++i) {
    third.notes.clear();
    emulator::take_notes(&third.notes);
    step(batch, i, 1e-3);
    emulator::take_notes(nullptr);
  }
  return third;
}

// --- the table ---

struct Row {
  int64_t launches = 0;
  double bytes = 0, elements = 0, instructions = 0, seconds = 0;
  std::map<std::string, double> binds;  // seconds by what binds
  bool no_code = false, by_hand = false, guessed = false, unknown = false;

  void add(const Cost& c) {
    ++launches;
    bytes += c.bytes;
    elements += c.elements;
    instructions += c.instructions;
    seconds += c.seconds;
    binds[c.binds] += c.seconds;
    by_hand |= c.by_hand;
    guessed |= c.guesses > 0;
    unknown |= !c.unknown.empty();
  }
};

static void print(const std::string& name, const Row& r, double all_seconds) {
  std::string marks;
  if (r.no_code) marks += " no code";
  if (r.by_hand) marks += " *";
  if (r.guessed) marks += " ?";
  if (r.unknown) marks += " !";
  const auto binds = std::max_element(r.binds.begin(), r.binds.end(),
                                      [](auto& a, auto& b) { return a.second < b.second; });
  char per_element[16] = "-";
  if (r.instructions > 0)
    std::snprintf(per_element, sizeof per_element, "%.1f", r.instructions / r.elements);
  std::printf("%-34.34s %8lld %10.1f %9s %9.1f %6.1f  %s%s\n", name.c_str(),
              static_cast<long long>(r.launches), r.bytes * 1e-6, per_element, r.seconds * 1e6,
              100 * r.seconds / all_seconds, binds->first.c_str(), marks.c_str());
}

static void print(const Flags& f, const std::map<std::string, Row>& rows) {
  std::vector<std::pair<std::string, Row>> sorted(rows.begin(), rows.end());
  std::sort(sorted.begin(), sorted.end(),
            [](auto& a, auto& b) { return a.second.seconds > b.second.seconds; });
  Row all;
  for (auto& [name, row] : sorted) {
    all.launches += row.launches;
    all.bytes += row.bytes;
    all.seconds += row.seconds;
  }
  std::printf("%-34s %8s %10s %9s %9s %6s  %s\n", "kernel", "launches", "MB", "instr/el", "us", "%",
              "binds");
  for (auto& [name, row] : sorted) print(name, row, all.seconds);
  std::printf("%s, batch %lld, %lld px: %lld launches, %.1f GB, %.2f ms, %.0f images/s modelled\n",
              f.model.model.c_str(), static_cast<long long>(f.batch),
              static_cast<long long>(f.model.img_size), static_cast<long long>(all.launches),
              all.bytes * 1e-9, all.seconds * 1e3, double(f.batch) / all.seconds);
}

static void print_launch(const std::string& name, const Note& n, const Cost& c) {
  std::string work = str("(", n.grid.x, ",", n.grid.y, ",", n.grid.z, ") x (", n.block.x, ",",
                         n.block.y, ",", n.block.z, ")");
  const auto& p = n.product;
  if (p.M > 0) work = str(p.M, " x ", p.N, " x ", p.K, p.batch > 1 ? str(" x ", p.batch) : "");
  std::printf("%-28.28s %-26s %9.2f MB %7.1f instr/el %8.1f us  %s %s\n", name.c_str(),
              work.c_str(), c.bytes * 1e-6, c.elements > 0 ? c.instructions / c.elements : 0.,
              c.seconds * 1e6, c.binds, c.unknown.c_str());
}

// --- the program ---

static int model(const Flags& f) {
  emulator::settings().dry = true;
  emulator::settings().device_memory = size_t(141) << 30;
  cuda::limits() = cuda::limits_of_gpu(132);
  cuda::limits().pieces = false;  // a block for each tensor: from a pointer one sees its end
  const Symbols symbols;
  const auto code = read_code(f.code);
  const Step step = dry_step(f);
  std::map<std::string, Row> rows;
  std::map<std::string, Cost> known;  // by the work
  for (const Note& note : step.notes) {
    const std::string symbol = note.kernel ? demangled(symbols.name_of(note.kernel)) : "";
    const auto kernel = code.find(gpu_model::short_name(symbol));
    const std::string work = gpu_model::work_of(note);
    auto at = known.find(work);
    if (at == known.end())
      at =
          known
              .emplace(work, gpu_model::cost_of(
                                 note, kernel == code.end() ? nullptr : &kernel->second,
                                 symbol.find("bf16") == std::string::npos ? 4 : 2, step.parameters))
              .first;
    std::string name = note.name;
    if (note.product.M > 0)
      name += note.product.sums_rows ? " dW" : note.product.accumulate ? " +=" : "";
    Row& row = rows[name];
    row.add(at->second);
    row.no_code |= note.kernel && !code.empty() && kernel == code.end();
    if (f.each) print_launch(name, note, at->second);
  }
  print(f, rows);
  return 0;
}

int main(int argc, char** argv) {
  Flags f;
  f.model.device = "emulated";
  f.model.amp = "bf16";
  CLI::App app("Models the time of a training step on an H200.", "gpu-model");
  app.option_defaults()->always_capture_default();
  app.add_option("--model", f.model.model, "the model");
  app.add_option("-b,--batch", f.batch, "images a step")->check(CLI::Range(1, 1 << 20));
  app.add_option("--img-size", f.model.img_size, "pixels of a side")->check(CLI::Range(1, 4096));
  app.add_option("--num-classes", f.classes, "outputs of the model")->check(CLI::Range(1, 1 << 20));
  app.add_option("--code", f.code,
                 "folder of disassembled kernels, *.sass; without it launches "
                 "and bytes alone are counted");
  app.add_flag("--each", f.each, "a line for each launch, too");
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return model(f); });
}

#endif
