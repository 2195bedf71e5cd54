// How near each op of a model comes to what the device can do: time, bytes that it must move and
// operations that it must do, forward and backward, beside the speed of a plain copy measured in
// the same run. Calls take turns among several sets of inputs, more than a GPU's cache holds, and
// on a GPU a round of calls is recorded and started at once: neither the cache nor the host helps.
#include <algorithm>
#include <cstdio>

#include "core/cuda/device.h"
#include "core/cuda/graph.h"
#include "examples/program.h"
#include "nn/rmt/attention.h"
#include "ops/attention/rotary.h"
#include "ops/batch_norm.h"
#include "ops/conv2d.h"
#include "ops/depthwise_conv2d.h"
#include "ops/gelu.h"
#include "ops/gelu_depthwise_conv2d.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/norm_gelu_conv2d.h"
#include "ops/residual_layer_norm.h"
#include "train/compute.h"
#include "train/optimizer.h"
#include "train/run/progress_line.h"
#include "train/weights/model_file.h"

using namespace rmt;

struct Flags {
  train::TrainOptions model{.model = "rmt_s", .amp = "bf16"};
  int64_t batch = 128, iters = 20;
  std::string stages = "1234";
};

struct Bench {
  train::Compute compute;
  int64_t iters;
  double copy_rate = 0;  // bytes a second, read and written

  // Numbers from N(0, 1) everywhere, for products of zeros need less current and run at a higher
  // clock. They are drawn for a piece, which is repeated.
  Tensor filled(const Shape& shape, DType dtype) const {
    constexpr int64_t kPiece = 1 << 16;
    const int64_t n = shape.numel();
    Tensor piece = Tensor::empty({std::min(n, kPiece)}, DType::f32);
    Random random(1, Purpose::test);
    for (int64_t i = 0; i < piece.numel(); ++i) piece.data<float>()[i] = float(random.normal());
    piece = piece.to(dtype).to(compute.device);
    const Tensor y = Tensor::empty(shape, dtype, compute.device), flat = y.view({n});
    for (int64_t i = 0; i < n; i += kPiece) {
      const int64_t count = std::min(kPiece, n - i);
      flat.slice(i, i + count).copy_from(piece.slice(0, count));
    }
    return y;
  }
  Tensor activation(const Shape& shape) const { return leaf(filled(shape, compute.dtype)); }
  Tensor parameter(const Shape& shape) const {
    Tensor p = leaf(filled(shape, DType::f32));
    if (compute.dtype != DType::f32) set_shadow(p, p.to(compute.dtype));
    return p;
  }

  // Median of five rounds of f(0), f(1), ..., seconds a call; the host waits once a round.
  double time(const std::function<void(int64_t)>& f) const {
    const bool on_gpu = compute.device == Device::cuda;
    std::function<void()> round = [&] {
      for (int64_t i = 0; i < iters; ++i) f(i);
    };
    cuda::Graph graph;
    f(0);  // makes what is kept: tables, choices of algorithms
    if (on_gpu && !debugging()) {
      graph.capture(round);
      round = [&] { graph.launch(); };
    }
    std::vector<double> seconds;
    for (int i = 0; i < 6; ++i) {
      if (on_gpu) cuda::synchronize();
      train::Stopwatch clock;
      round();
      if (on_gpu) cuda::synchronize();
      if (i > 0) seconds.push_back(clock.seconds() / double(iters));  // the first warms up
    }
    std::sort(seconds.begin(), seconds.end());
    return seconds[2];
  }

  void print(const std::string& name, const char* direction, double seconds, double bytes,
             double flops) const {
    std::printf("%-44s %-8s %9.1f us %8.1f MB %7.0f GB/s (%3.0f %% of a copy)", name.c_str(),
                direction, seconds * 1e6, bytes / 1e6, bytes / seconds / 1e9,
                100 * bytes / seconds / copy_rate);
    if (flops > 0) std::printf(" %8.2f TFLOP/s", flops / seconds / 1e12);
    std::printf("\n");
  }

  // The gradient through the op that made y; one with several results stands on the tape as two
  // nodes (autograd/tape.h, record_many).
  static void step_back(const Tensor& y, const Tensor& dy) {
    const Grads g = y.node->backward(dy);
    const std::shared_ptr<Node>& shared = y.node->inputs[0];
    if (shared && shared->backward && shared->shape == Shape{0}) shared->backward(g[0]);
  }

  // One set of inputs, and as many more as fill twice the largest GPU's cache.
  std::vector<std::vector<Tensor>> copies(const std::vector<Tensor>& inputs, double bytes) const {
    constexpr double kCache = 64e6;
    std::vector<std::vector<Tensor>> sets{inputs};
    const int64_t wanted =
        cuda::emulated() ? 1 : std::min<int64_t>(iters, 1 + int64_t(2 * kCache / bytes));
    for (int64_t i = 1; i < wanted; ++i) {
      auto& set = sets.emplace_back();
      for (const Tensor& x : inputs) set.push_back(leaf(x.clone()));
    }
    return sets;
  }

  // y = f(inputs): times it, and its backward. Bytes: what goes in and what comes out, each once.
  void op(const std::string& name, const std::vector<Tensor>& inputs,
          const std::function<Tensor(const std::vector<Tensor>&)>& f, double flops = 0) const {
    double in = 0;
    for (const Tensor& x : inputs) in += double(x.nbytes());
    std::vector<Tensor> y{f(inputs)};
    const double bytes = in + double(y[0].nbytes());
    const auto sets = copies(inputs, bytes);
    const auto forward = [&](int64_t i) { return f(sets[size_t(i) % sets.size()]); };
    const double seconds = time([&](int64_t i) {
      NoGrad off;
      forward(i);
    });
    print(name, "forward", seconds, bytes, flops);
    std::vector<Tensor> dy{filled(y[0].shape(), y[0].dtype())};
    for (size_t i = 1; i < sets.size(); ++i) {
      y.push_back(forward(int64_t(i)));
      dy.push_back(dy[0].clone());
    }
    NoGrad off;
    const double back =
        time([&](int64_t i) { step_back(y[size_t(i) % y.size()], dy[size_t(i) % y.size()]); });
    print(name, "backward", back, 2 * in + double(y[0].nbytes()), 2 * flops);
  }
};

// Attention alone, and what a step in bf16 has for all of it: q, k and v from one product, and one
// op on them.
static void bench_attention(const Bench& b, const nn::RmtConfig& c, const nn::StageConfig& s,
                            const std::string& stage, int64_t B, int64_t H, int64_t W) {
  const int64_t C = s.channels, heads = s.heads, L = H * W;
  const double rows = double(B * L);
  const Tensor x = b.activation({B, H, W, C}), k = b.activation({B, H, W, C}),
               v = b.activation({B, H, W, C});
  const Tensor decay = Tensor::full({heads}, -0.1, DType::f32, b.compute.device);
  const Tensor angle = Tensor::full({C / heads}, 0.1, DType::f32, b.compute.device),
               rotary = ops::rotary_table(angle, H, W, DType::f32);
  auto name = [&](const char* what, int64_t channels) {
    return str(stage, what, " (", B, ", ", H, ", ", W, ", ", channels, ")");
  };
  auto attention = [&](const char* what, ops::Axis axis, int64_t n) {
    b.op(
        name(what, C), {x, k, v},
        [&](const auto& in) {
          return ops::manhattan_attention(in[0], in[1], in[2], decay, rotary, {heads, axis});
        },
        4 * rows * double(n * C));
  };
  if (s.decomposed)
    attention("attention along W", ops::Axis::W, W),
        attention("attention along H", ops::Axis::H, H);
  else
    attention("attention over the map", ops::Axis::both, L);

  const ops::PackedOptions packed{heads, s.decomposed};
  if (!ops::packs(x, packed)) return;
  nn::ManhattanAttention layers(c, s);
  layers.init(0);
  b.compute.prepare(layers);
  b.op(
      name("packed_linears C -> 3C", 3 * C), {x},
      [&](const auto& in) {
        return nn::packed_of_three(in[0], layers.q_proj, layers.k_proj, layers.v_proj);
      },
      6 * rows * double(C * C));
  const Tensor filter = b.parameter({C, 1, 5, 5}), bias = b.parameter({C});
  b.op(
      name("packed_attention", C), {b.activation({B, H, W, 3 * C})},
      [&](const auto& in) {
        return ops::packed_attention(in[0], decay, rotary, filter, bias, packed);
      },
      4 * rows * double((s.decomposed ? H + W : L) * C));
}

static void bench_stage(const Bench& b, const nn::RmtConfig& c, size_t stage, int64_t B, int64_t H,
                        int64_t W) {
  const nn::StageConfig& s = c.stages[stage];
  const int64_t C = s.channels, hidden = s.hidden(), rows = B * H * W;
  const Tensor x = b.activation({B, H, W, C}), h = b.activation({B, H, W, hidden}),
               w = b.parameter({C}), bias = b.parameter({C});
  auto name = [&](const char* what, int64_t channels) {
    return str("stage ", stage + 1, ": ", what, " (", B, ", ", H, ", ", W, ", ", channels, ")");
  };
  auto linear = [&](const char* what, const Tensor& tokens, int64_t I, int64_t O) {
    const Tensor weight = b.parameter({O, I}), offset = b.parameter({O});
    b.op(
        name(what, O), {tokens}, [&](const auto& in) { return ops::linear(in[0], weight, offset); },
        2 * double(rows) * double(I) * double(O));
  };
  auto depthwise = [&](const char* what, int64_t k, const std::vector<Tensor>& inputs) {
    const Tensor filter = b.parameter({C, 1, k, k});
    b.op(name(what, C), inputs,
         [&](const auto& in) { return ops::depthwise_conv2d(in[0], filter, bias, in.back()); });
  };
  const Tensor another = b.activation({B, H, W, C});
  b.op(name("layer_norm", C), {x},
       [&](const auto& in) { return ops::layer_norm(in[0], w, bias, 1e-6); });
  b.op(name("residual_layer_norm", C), {x, another}, [&](const auto& in) {
    return ops::residual_layer_norm(in[0], in[1], {}, {}, w, bias, 1e-6).normed;
  });
  linear("linear C -> C", x, C, C);
  linear("linear C -> hidden", x, C, hidden);
  linear("linear hidden -> C", h, hidden, C);
  depthwise("depthwise 3x3 + x", 3, {x});
  depthwise("depthwise 5x5 + y", 5, {x, another});
  const Tensor filter = b.parameter({hidden, 1, 3, 3}), offset = b.parameter({hidden});
  b.op(name("gelu_depthwise 3x3", hidden), {h},
       [&](const auto& in) { return ops::gelu_depthwise_conv2d(in[0], filter, offset); });
  bench_attention(b, c, s, str("stage ", stage + 1, ": "), B, H, W);
}

static void bench_stem(const Bench& b, int64_t C, int64_t B, int64_t S) {
  struct Layer {
    int64_t side, I, O, stride;
  };
  for (const Layer& l : {Layer{S, 3, C / 2, 2}, Layer{S / 2, C / 2, C / 2, 1},
                         Layer{S / 2, C / 2, C, 2}, Layer{S / 4, C, C, 1}}) {
    const Tensor x = b.activation({B, l.side, l.side, l.I}), w = b.parameter({l.O, l.I, 3, 3}),
                 bias = b.parameter({l.O}), scale = b.parameter({l.O}), of_x = b.parameter({l.I});
    const int64_t out = l.side / l.stride;
    b.op(
        str("stem: conv 3x3 / ", l.stride, ", ", l.I, " -> ", l.O), {x},
        [&](const auto& in) { return ops::conv2d(in[0], w, bias, l.stride, 1); },
        18 * double(B * out * out) * double(l.I * l.O));
    if (l.I > 3)
      b.op(
          "stem: batch_norm, gelu and this in one", {x},
          [&](const auto& in) {
            return ops::norm_gelu_conv2d(in[0], {of_x, of_x, {}, {}, {}}, w, bias, l.stride, 1);
          },
          18 * double(B * out * out) * double(l.I * l.O));
    const Tensor y = b.activation({B, out, out, l.O});
    b.op(str("stem: batch_norm (", B, ", ", out, ", ", out, ", ", l.O, ")"), {y},
         [&](const auto& in) { return ops::batch_norm(in[0], scale, bias, {}, {}, {}); });
    b.op(str("stem: gelu (", B, ", ", out, ", ", out, ", ", l.O, ")"), {y},
         [&](const auto& in) { return ops::gelu(in[0]); });
  }
}

static void bench_adamw(const Bench& b, int64_t n) {
  Tensor p = b.parameter({n, 1});
  set_grad(p, b.filled({n, 1}, DType::f32));
  train::Optimizer optimizer({{"w", &p, true}}, {});
  // Bytes of a number: g is read, p and its two moments are read and written, a shadow is written.
  const double moved = 4 + 3 * 8 + (shadow(p).defined() ? 2 : 0);
  optimizer.step(1e-3);  // on a GPU what follows repeats its last part, with the same rate
  const double seconds = b.time([&](int64_t) {
    b.compute.device == Device::cuda ? optimizer.launch({}) : optimizer.step(1e-3);
  });
  b.print(str("adamw, ", n, " numbers"), "step", seconds, double(n) * moved, 0);
}

static int bench(const Flags& f) {
  Bench b{train::choose_compute(f.model), f.iters};
  const nn::RmtConfig config = train::model_config(f.model, 1000);
  const int64_t S = f.model.img_size;
  const Tensor from = Tensor::zeros({int64_t(1) << (cuda::emulated() ? 20 : 28)}, DType::f32,
                                    b.compute.device),
               to = Tensor::empty_like(from);
  b.copy_rate = 2 * double(from.nbytes()) / b.time([&](int64_t) { to.copy_from(from); });
  std::printf("%s on %s, batch %ld, %ld px; a copy moves %.0f GB/s\n", f.model.model.c_str(),
              device_text(b.compute).c_str(), long(f.batch), long(S), b.copy_rate / 1e9);
  if (f.stages.find('1') != std::string::npos) bench_stem(b, config.stages[0].channels, f.batch, S);
  for (size_t stage = 0; stage < 4; ++stage)
    if (f.stages.find(char('1' + stage)) != std::string::npos)
      bench_stage(b, config, stage, f.batch, S >> (stage + 2), S >> (stage + 2));
  bench_adamw(b, 27'000'000 / (cuda::emulated() ? 1000 : 1));
  return 0;
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app(
      "Measures every op of a model, forward and backward, beside the speed of a plain copy.",
      "bench-kernels");
  app.option_defaults()->always_capture_default();
  add_model_flags(app, f.model);
  add_compute_flags(app, f.model);
  app.add_option("-b,--batch,--batch-size", f.batch, "images")->check(CLI::Range(1, 1 << 20));
  app.add_option("--iters", f.iters, "calls a round, of which there are five")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--stages", f.stages, "those to measure, as in 134; the stem goes with 1");
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return bench(f); });
}
