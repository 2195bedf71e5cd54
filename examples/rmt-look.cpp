// What a model attends to: for a checkpoint and a photograph, the attention of one chosen place in
// every stage, laid over the photograph; and the decay of each head.
//
// The weights are those of ops/attention/definition.h, for the queries and keys that the model
// computes in the last block of each stage. Where a stage is decomposed, y = A_H (A_W v): the place
// i attends along its row, and along its column, and through both to the whole map with the weights
// (A_H A_W)_ij = sum_m A_H,im A_W,mj, where m runs over i's column.
#include <cstdio>

#include "core/parallel.h"
#include "data/images/image_grid.h"
#include "data/images/transform.h"
#include "examples/checkpoint_word.h"
#include "examples/heat_map.h"
#include "examples/program.h"
#include "ops/attention/definition.h"
#include "ops/normalize.h"
#include "train/weights/model_file.h"

using namespace rmt;

constexpr int64_t kSide = 168;  // of a tile, pixels

struct Flags {
  std::string checkpoint, image, model, out = "look.png", decay;
  std::vector<double> at = {0.5, 0.5};
  int64_t img_size = 0;
  int threads = 0;
};

// What the last block of a stage does with one place: for each head the weights of all positions.
struct StageLook {
  int64_t H, W, heads;
  bool decomposed;
  int64_t place;                                           // the chosen position i
  std::vector<std::vector<double>> along_w, along_h, all;  // head, position; the first two only
                                                           // where the stage is decomposed
};

using ops::definition::Head;

// (A_H A_W)_ij for one head, from its row of A_H.
static std::vector<double> through_both(const Head& rows, const std::vector<double>& along_h) {
  std::vector<double> weights(along_h.size());
  for (size_t m = 0; m < along_h.size(); ++m) {
    if (along_h[m] == 0) continue;
    const std::vector<double> of_row = rows.query(int64_t(m)).A;
    for (size_t j = 0; j < weights.size(); ++j) weights[j] += along_h[m] * of_row[j];
  }
  return weights;
}

// q and k (1, H, W, C) of the block's attention -> the weights of the place (x, y), given as shares
// of the width and height.
static StageLook look_at(nn::ManhattanAttention& attention, nn::Position& position, const Tensor& q,
                         const Tensor& k, const std::vector<double>& at) {
  const int64_t H = q.dim(1), W = q.dim(2);
  const int64_t row = std::min(int64_t(at[1] * double(H)), H - 1);
  const int64_t column = std::min(int64_t(at[0] * double(W)), W - 1);
  StageLook look{H, W, attention.heads, attention.decomposed, row * W + column, {}, {}, {}};
  const Tensor decay = attention.with_decay ? position.decay : Tensor();
  const Tensor rotary = attention.with_rotary ? position.rotary(H, W, DType::f32) : Tensor();
  auto head = [&](ops::Axis axis, int64_t h) {
    const ops::ManhattanOptions options{attention.heads, axis, attention.decay_mode};
    return Head(q, k, decay, rotary, options, 0, h);
  };
  for (int64_t h = 0; h < attention.heads; ++h) {
    if (!attention.decomposed) {
      look.all.push_back(head(ops::Axis::both, h).query(look.place).A);
      continue;
    }
    const Head rows = head(ops::Axis::W, h);
    look.along_w.push_back(rows.query(look.place).A);
    look.along_h.push_back(head(ops::Axis::H, h).query(look.place).A);
    look.all.push_back(through_both(rows, look.along_h.back()));
  }
  return look;
}

// The model's own forward pass, stopped in the last block of each stage.
static std::vector<StageLook> look_through(nn::Rmt& model, const Tensor& images,
                                           const std::vector<double>& at) {
  std::vector<StageLook> looks;
  Tensor x = model.patch_embed.forward(images);
  for (nn::Stage* stage : model.stages) {
    for (nn::Block* block : stage->blocks) {
      if (block == stage->blocks.back()) {
        const Tensor input = block->pos ? block->pos->forward(x, x) : x;
        const Tensor normed = block->retention_layer_norm.forward(input);
        auto* attention = dynamic_cast<nn::ManhattanAttention*>(&block->retention);
        CHECK(attention,
              "this model has no softmax whose weights could be shown: it was trained with "
              "--attention gate or retention");
        looks.push_back(look_at(*attention, stage->position, attention->q_proj.forward(normed),
                                attention->k_proj.forward(normed), at));
      }
      x = block->forward(x, stage->position);
    }
    if (stage->downsample) x = stage->downsample->forward(x);
  }
  return looks;
}

static std::vector<double> mean_over_heads(const std::vector<std::vector<double>>& weights) {
  std::vector<double> mean(weights[0].size());
  for (const std::vector<double>& head : weights)
    for (size_t j = 0; j < mean.size(); ++j) mean[j] += head[j] / double(weights.size());
  return mean;
}

// Tiles of one stage, five in a row: the place, three views, and how two heads differ.
static void add_stage(std::vector<data::Tile>& tiles, const StageLook& s, int64_t number,
                      const data::Image& photograph) {
  auto tile = [&](const std::vector<double>& values, const std::string& caption,
                  HeatColour (*colour)(double)) {
    const HeatMap map{s.H, s.W, values, s.place};
    char most[32];
    std::snprintf(most, sizeof most, ", at most %.1f %%", 100 * map.most());
    tiles.push_back({heat_picture(map, kSide, &photograph, colour), caption + most, {}});
  };
  tiles.push_back({framed_picture(photograph, kSide, s.H, s.W, s.place),
                   str("stage ", number, ": ", s.W, " x ", s.H, " positions, ", s.heads, " heads"),
                   {}});
  if (s.decomposed) {
    tile(mean_over_heads(s.along_w), "along W, mean of the heads", heat);
    tile(mean_over_heads(s.along_h), "along H, mean of the heads", heat);
    tile(mean_over_heads(s.all), "W, then H, mean of the heads", heat);
  } else {
    tile(s.all.front(), "whole map, head 1", heat);
    tile(s.all.back(), str("whole map, head ", s.heads), heat);
    tile(mean_over_heads(s.all), "whole map, mean of the heads", heat);
  }
  std::vector<double> difference = s.all.back();
  for (size_t j = 0; j < difference.size(); ++j) difference[j] -= s.all.front()[j];
  tile(difference, str("orange: head ", s.heads, " looks there more; blue: head 1"),
       difference_colour);
}

// The factor exp(decay d) of the positions around the middle of a stage's map, for five heads at
// most from the first to the last.
static std::vector<data::Tile> decay_tiles(nn::Rmt& model, const std::vector<StageLook>& looks) {
  std::vector<data::Tile> tiles;
  for (size_t s = 0; s < looks.size(); ++s) {
    const int64_t H = looks[s].H, W = looks[s].W, heads = looks[s].heads;
    const int64_t middle = H / 2 * W + W / 2;
    const int64_t shown = std::min<int64_t>(5, heads);
    for (int64_t n = 0; n < shown; ++n) {
      const int64_t h = shown > 1 ? n * (heads - 1) / (shown - 1) : 0;
      const double decay = double(model.stages[s]->position.decay.to_vector<float>()[h]);
      HeatMap map{H, W, std::vector<double>(H * W), middle};
      for (int64_t j = 0; j < H * W; ++j)
        map.values[j] = std::exp(decay * double(ops::definition::manhattan_distance(middle, j, W)));
      char caption[96];
      std::snprintf(caption, sizeof caption, "stage %d, head %d of %d: %.4f a step", int(s + 1),
                    int(h + 1), int(heads), std::exp(decay));
      tiles.push_back({heat_picture(map, kSide, nullptr, heat), caption, {}});
    }
    while (tiles.size() % 5 != 0) {
      const HeatMap blank{1, 1, {0}};
      auto background = [](double) { return HeatColour{28, 30, 34}; };
      tiles.push_back({heat_picture(blank, kSide, nullptr, background), "", {}});
    }
  }
  return tiles;
}

static int look(const Flags& f) {
  CHECK(!f.image.empty(), "which image? It comes behind the checkpoint");
  CHECK(f.at.size() == 2 && f.at[0] >= 0 && f.at[0] <= 1 && f.at[1] >= 0 && f.at[1] <= 1,
        "--at takes two shares of the width and height, each from 0 to 1");
  if (f.threads > 0) set_threads(f.threads);
  train::ModelFile file = train::load_model_file(f.checkpoint, f.model);
  std::cerr << printable(file.origin) << std::endl;
  train::set_image_size(file, f.img_size);
  check(file.options);
  const data::TransformOptions t = train::transform_options(file.options);
  const int64_t S = t.image_size;
  data::Image photograph{S, S, std::vector<uint8_t>(size_t(S * S * 3))};
  data::eval_pixels(data::read_image(f.image), t, photograph.rgb.data());
  const Tensor pixels = Tensor::from<uint8_t>(photograph.rgb, {1, S, S, 3});
  const Tensor images = ops::normalize(
      pixels, {},
      {{t.mean[0], t.mean[1], t.mean[2]}, {t.deviation[0], t.deviation[1], t.deviation[2]}},
      DType::f32);
  NoGrad off;
  nn::Rmt& model = file.rmt("rmt-look");
  const std::vector<StageLook> looks = look_through(model, images, f.at);
  std::vector<data::Tile> tiles;
  for (size_t s = 0; s < looks.size(); ++s) add_stage(tiles, looks[s], int64_t(s) + 1, photograph);
  data::write_png(f.out, data::image_grid(tiles, 5));
  std::printf(
      "%s: in each row the chosen place (framed in white) and where its last block of that stage "
      "looks: the brighter, the more weight; the last picture shows where the last head looks more "
      "(orange) or the first (blue)\n",
      printable(f.out).c_str());
  if (f.decay.empty()) return 0;
  data::write_png(f.decay, data::image_grid(decay_tiles(model, looks), 5));
  std::printf(
      "%s: what a position in the middle multiplies the weight of the others with, a row a stage, "
      "from the head that sees least far to the one that sees farthest\n",
      printable(f.decay).c_str());
  return 0;
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app("Draws what a model attends to on a photograph, and the decay of its heads.",
               "rmt-look");
  app.option_defaults()->always_capture_default();
  app.add_option("checkpoint,--checkpoint", f.checkpoint,
                 "safetensors or PyTorch .pth file, or a run folder (its best.safetensors)");
  app.add_option("image,--image", f.image, "JPEG or PNG file");
  app.add_option("--at", f.at, "the chosen place: shares of width and height, as in 0.3 0.6")
      ->expected(2);
  app.add_option("--out", f.out, "PNG file for the attention");
  app.add_option("--decay", f.decay, "PNG file for the decay of the heads; empty: none");
  app.add_option("--model", f.model,
                 "architecture; empty: as the checkpoint says, or by its shapes");
  app.add_option("--img-size", f.img_size, "pixels; 0: as in training")
      ->check(CLI::Range(0, 16384));
  app.add_option("--threads", f.threads, "threads; 0: RMT_THREADS, else every processor")
      ->check(CLI::Range(0, 1024));
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  if (int status = check_checkpoint_word(app, f.checkpoint, "photo.jpg"); status >= 0)
    return status;
  return run_program(app, [&] { return look(f); });
}
