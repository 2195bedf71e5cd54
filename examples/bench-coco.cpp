// How long COCO's evaluation takes on a made-up set as large as COCO's own validation. With --write
// the set becomes files, of which tests/golden/coco_bench.py asks pycocotools the same.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "core/files/files.h"
#include "core/parallel.h"
#include "core/random.h"
#include "examples/program.h"
#include "train/detection/coco_json.h"

using namespace rmt;
using namespace rmt::train;

namespace {

constexpr int64_t kWidth = 640, kHeight = 480, kCategories = 80;

struct Flags {
  int64_t images = 5000, objects = 36'000, detections = 500'000;
  bool masks = false;
  int threads = 0;
  std::string write;
};

struct Set {
  std::vector<CocoTruth> truths;
  std::vector<CocoDetection> detections;
};

// An octagon in the box.
data::RunLengths mask_in(const CocoBox& b) {
  const auto [x, y, w, h] = b;
  return data::from_polygons(
      {{x + w / 4, y, x, y + h / 4, x, y + h * 3 / 4, x + w / 4, y + h, x + w * 3 / 4, y + h, x + w,
        y + h * 3 / 4, x + w, y + h / 4, x + w * 3 / 4, y}},
      kWidth, kHeight);
}

// Objects of few common categories and many rare ones; three in four detections are near one.
Set made_up(const Flags& f) {
  Set set;
  Random random(0, Purpose::test);
  const auto whole = [&](int64_t n) {
    return std::min(int64_t(random.uniform() * double(n)), n - 1);
  };
  const auto cents = [](double x) { return std::round(x * 100) / 100; };
  const auto anywhere = [&] {
    const double w = 8 * std::exp(random.uniform() * 3.5), h = 8 * std::exp(random.uniform() * 3.5);
    return CocoBox{cents(random.uniform() * (kWidth - w)), cents(random.uniform() * (kHeight - h)),
                   cents(w), cents(h)};
  };
  for (int64_t i = 0; i < f.objects; ++i) {
    CocoTruth t;
    t.image = 1 + whole(f.images);
    t.category = 1 + int64_t(std::pow(random.uniform(), 3) * kCategories);
    t.box = anywhere();
    t.area = t.box[2] * t.box[3] * .7;
    t.crowd = random.uniform() < .01;
    if (f.masks) t.mask = mask_in(t.box);
    set.truths.push_back(t);
  }
  for (int64_t i = 0; i < f.detections; ++i) {
    CocoDetection d;
    const CocoTruth& near = set.truths[size_t(whole(f.objects))];
    d.image = near.image;
    d.category = random.uniform() < .8 ? near.category : 1 + whole(kCategories);
    d.score = std::round(random.uniform() * 1e4) / 1e4;
    d.box = anywhere();
    if (random.uniform() < .75)
      for (size_t side = 0; side < 4; ++side)
        d.box[side] =
            std::max(cents(near.box[side] + random.normal() * .1 * near.box[2 + side % 2]), 1.);
    if (f.masks) d.mask = mask_in(d.box);
    set.detections.push_back(std::move(d));
  }
  return set;
}

void write(const Set& set, const Flags& f, const CocoKind kind) {
  std::string text = "{\"images\":[";
  for (int64_t i = 1; i <= f.images; ++i)
    text +=
        str(i > 1 ? "," : "", "{\"id\":", i, ",\"width\":", kWidth, ",\"height\":", kHeight, "}");
  text += "],\"categories\":[";
  for (int64_t k = 1; k <= kCategories; ++k)
    text += str(k > 1 ? "," : "", "{\"id\":", k, ",\"name\":\"", k, "\"}");
  text += "],\"annotations\":[";
  for (size_t i = 0; i < set.truths.size(); ++i) {
    const CocoTruth& t = set.truths[i];
    char numbers[160];
    std::snprintf(numbers, sizeof numbers, "\"area\":%.17g,\"bbox\":[%.17g,%.17g,%.17g,%.17g]",
                  t.area, t.box[0], t.box[1], t.box[2], t.box[3]);
    text += str(i > 0 ? ",\n" : "", "{\"id\":", i + 1, ",\"image_id\":", t.image,
                ",\"category_id\":", t.category, ",\"iscrowd\":", int(t.crowd), ",", numbers);
    std::string counts;
    for (const char c : data::to_text(t.mask)) counts += c == '\\' ? "\\\\" : std::string(1, c);
    if (f.masks)
      text += str(",\"segmentation\":{\"size\":[", kHeight, ",", kWidth, "],\"counts\":\"", counts,
                  "\"}");
    text += "}";
  }
  write_file(f.write + "/truth.json", text + "]}\n");
  write_coco_results(f.write + "/results.json", set.detections, kind);
}

int run(const Flags& f) {
  if (f.threads > 0) set_threads(f.threads);
  const CocoKind kind = f.masks ? CocoKind::kMasks : CocoKind::kBoxes;
  const Set set = made_up(f);
  if (!f.write.empty()) write(set, f, kind);
  std::vector<int64_t> categories;
  for (int64_t k = 1; k <= kCategories; ++k) categories.push_back(k);
  const auto start = std::chrono::steady_clock::now();
  const CocoStats stats = coco_evaluate(set.truths, set.detections, categories, kind).stats();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%zu objects, %zu detections, %d threads: %.3f s\n", set.truths.size(),
              set.detections.size(), threads(), seconds.count());
  for (size_t i = 0; i < stats.size(); ++i) std::printf("%-5s %.15f\n", kCocoNames[i], stats[i]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Flags f;
  CLI::App app("Measures COCO's evaluation of detections on a made-up set.", "bench-coco");
  app.option_defaults()->always_capture_default();
  app.add_option("--images", f.images, "how many")->check(CLI::Range(1, 1 << 20));
  app.add_option("--objects", f.objects, "in all of them")->check(CLI::Range(1, 1 << 24));
  app.add_option("--detections", f.detections, "in all of them")->check(CLI::Range(0, 1 << 24));
  app.add_flag("--masks", f.masks, "compare masks instead of boxes");
  app.add_option("--threads", f.threads, "0: as many as there are processors")
      ->check(CLI::Range(0, 1024));
  app.add_option("--write", f.write,
                 "a folder that is there: write the set into it, truth.json and results.json, for "
                 "tests/golden/coco_bench.py");
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return run(f); });
}
