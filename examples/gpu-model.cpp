// How long would a training step take on an H200? Runs one on the emulated device without doing any
// of it (Settings::dry), and adds up what each launch would move and execute (core/cuda/model/).
#include <cxxabi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "core/cuda/device.h"
#include "core/cuda/emulator/machine.h"
#include "core/cuda/limits.h"
#include "core/cuda/model/cost.h"
#include "examples/program.h"
#include "train/trainer.h"
#include "train/weights/model_file.h"

using namespace rmt;
namespace fs = std::filesystem;

struct Flags {
  train::TrainOptions model{.model = "rmt_t"};
  int64_t batch = 128;
  int64_t classes = 1000;
  std::string code;
  bool each = false;
};

// By this function's address it is seen where the program lies in memory.
extern "C" void gpu_model_anchor() {}

// What a command prints.
static std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  CHECK(pipe, "cannot run ", command);
  char buffer[1 << 16];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, n);
  pclose(pipe);
  return text;
}

// The short names of this program's functions by their addresses.
static std::map<uint64_t, std::string> functions() {
  const std::string self = fs::read_symlink("/proc/self/exe");
  std::istringstream table(output_of("nm --defined-only '" + self + "'"));
  std::map<uint64_t, std::string> all;
  uint64_t at = 0, here = 0;
  std::string type, name;
  while (table >> std::hex >> at >> type >> name) {
    if (type != "t" && type != "T" && type != "W" && type != "u") continue;
    if (name == "gpu_model_anchor") here = at;
    all[at] = name;
  }
  const uint64_t shift = reinterpret_cast<uintptr_t>(&gpu_model_anchor) - here;
  std::map<uint64_t, std::string> moved;
  for (auto& [address, symbol] : all) moved[address + shift] = std::move(symbol);
  return moved;
}

static std::string demangled(const std::string& name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  const std::string all = status == 0 ? text : name;
  std::free(text);
  return gpu_model::short_name(all);
}

static std::map<std::string, gpu_model::Kernel> read_code(const std::string& folder) {
  std::map<std::string, gpu_model::Kernel> kernels;
  if (folder.empty()) return kernels;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".sass") continue;
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    for (auto& [name, kernel] : gpu_model::read_machine_code(text.str()))
      kernels[demangled(name)] = std::move(kernel);
  }
  return kernels;
}

static data::Batch zeros(const Flags& f) {
  const int64_t B = f.batch, S = f.model.img_size;
  return {.images = Tensor::zeros({B, S, S, 3}, DType::u8, Device::cuda),
          .mirror = Tensor::zeros({B}, DType::u8, Device::cuda),
          .labels = Tensor::zeros({B}, DType::i64, Device::cuda)};
}

// What the third step asks for: the first ones make tables that are kept.
static std::vector<emulator::Note> notes_of_a_step(const Flags& f) {
  const train::Compute compute = train::choose_compute(f.model);
  const auto made = train::make_model(f.model, f.classes);
  nn::Classifier& model = *made;
  model.init(0);
  compute.prepare(model);
  const data::Batch batch = zeros(f);
  train::Optimizer optimizer(model.parameters(), {});
  auto forward = [&](const Tensor& x) { return model.forward(x); };
  train::TrainStep step(model, forward, optimizer, compute, {.smoothing = 0, .graph = false});
  std::vector<emulator::Note> notes;
  for (int64_t i = 0; i < 3; ++i) {
    notes.clear();
    emulator::take_notes(&notes);
    step(batch, i, 1e-3);
    emulator::take_notes(nullptr);
  }
  return notes;
}

struct Row {
  gpu_model::Cost sum;
  std::map<std::string, double> binds;  // seconds by what binds
};

static void print(const std::map<std::string, Row>& rows) {
  std::vector<std::pair<std::string, Row>> sorted(rows.begin(), rows.end());
  std::sort(sorted.begin(), sorted.end(),
            [](auto& a, auto& b) { return a.second.sum.seconds > b.second.sum.seconds; });
  double total = 0, launches = 0, bytes = 0;
  for (auto& [name, row] : sorted) {
    total += row.sum.seconds;
    launches += row.sum.launches;
    bytes += row.sum.bytes;
  }
  std::printf("%-44s %8s %10s %9s %9s %6s %s\n", "kernel", "launches", "MB", "instr/el", "us",
              "share", "binds");
  for (auto& [name, row] : sorted) {
    const gpu_model::Cost& c = row.sum;
    auto most = std::max_element(row.binds.begin(), row.binds.end(),
                                 [](auto& a, auto& b) { return a.second < b.second; });
    std::printf("%-44.44s %8.0f %10.1f %9.1f %9.1f %5.1f%% %s%s%s\n", name.c_str(), c.launches,
                c.bytes * 1e-6, c.instructions / c.elements, c.seconds * 1e6,
                100 * c.seconds / total, most->first.c_str(), c.guesses ? " ?" : "",
                c.unknown.c_str());
  }
  std::printf("total: %.0f launches, %.1f GB, %.2f ms\n", launches, bytes * 1e-9, total * 1e3);
}

static int model(const Flags& f) {
  emulator::settings().dry = true;
  emulator::settings().device_memory = size_t(141) << 30;
  cuda::limits() = cuda::limits_of_gpu(132);
  cuda::limits().pieces = false;
  const auto names = functions();
  const auto code = read_code(f.code);
  const auto notes = notes_of_a_step(f);
  std::map<std::string, Row> rows;
  for (const emulator::Note& note : notes) {
    const gpu_model::Kernel* kernel = nullptr;
    std::string name = note.name;
    int bytes_per_number = 4;
    if (note.kernel) {
      const auto at = names.find(reinterpret_cast<uintptr_t>(note.kernel));
      const std::string symbol = at == names.end() ? "?" : demangled(at->second);
      bytes_per_number = symbol.find("bf16") != std::string::npos     ? 2
                         : symbol.find("double") != std::string::npos ? 8
                                                                      : 4;
      const auto found = code.find(symbol);
      if (found != code.end())
        kernel = &found->second;
      else if (!f.code.empty())
        name += " (no code)";
    }
    if (note.product.M)
      name += note.product.sums_rows ? " dW" : note.product.accumulate ? " +=" : "";
    const gpu_model::Cost c = gpu_model::cost_of(note, kernel, bytes_per_number);
    if (f.each)
      std::printf(
          "%-36.36s (%u,%u,%u)x(%u,%u,%u) %.2f MB %.1f instr/el %.1f us %s %s%s M%ld N%ld K%ld\n",
          name.c_str(), note.grid.x, note.grid.y, note.grid.z, note.block.x, note.block.y,
          note.block.z, c.bytes * 1e-6, c.instructions / c.elements, c.seconds * 1e6, c.binds,
          c.guesses ? "?" : "", c.unknown.c_str(), note.product.M, note.product.N, note.product.K);
    Row& row = rows[name];
    row.binds[c.binds] += c.seconds;
    if (row.sum.seconds == 0) row.sum.launches = 0;
    row.sum.launches += c.launches;
    row.sum.bytes += c.bytes;
    row.sum.elements += c.elements;
    row.sum.instructions += c.instructions;
    row.sum.seconds += c.seconds;
    row.sum.guesses += c.guesses;
    if (row.sum.unknown.empty()) row.sum.unknown = c.unknown;
  }
  print(rows);
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
  app.add_option("--code", f.code, "folder of disassembled kernels, *.sass");
  app.add_flag("--each", f.each, "a line for each launch");
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return model(f); });
}
