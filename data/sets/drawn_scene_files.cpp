// The scenes as a folder in two layouts.
#include <array>
#include <cstdio>
#include <filesystem>

#include "core/error.h"
#include "core/files/files.h"
#include "core/parallel.h"
#include "data/images/label_png.h"
#include "data/masks/run_lengths.h"
#include "data/sets/drawings.h"
#include "data/sets/drawn_folder.h"
#include "data/sets/drawn_scenes.h"

namespace rmt::data {
namespace {

namespace fs = std::filesystem;

constexpr int kVersion = 1;               // of the painting
constexpr uint64_t kTrain = 2, kVal = 3;  // streams of random numbers; the drawings have 0 and 1

std::string mark_of(const SceneOptions& o) {
  return str("rmt drawn scenes, version ", kVersion, ": ", o.train_images, " training and ",
             o.val_images, " validation images of ", o.size, " x ", o.size, ", seed ", o.seed,
             ", JPEG quality ", o.quality, ", ", o.shapes, " shapes\n");
}

// As text between quotation marks. Of COCO's characters for run lengths one needs it.
std::string quoted(const std::string& text) {
  std::string q = "\"";
  for (const char c : text) {
    if (c == '\\' || c == '"') q += '\\';
    q += c;
  }
  return q + '"';
}

// Joined by commas, an item a line.
std::string list_of(const std::vector<std::string>& items) {
  std::string text = "[";
  for (const std::string& item : items) text += (text.size() > 1 ? ",\n" : "\n") + item;
  return text + "\n]";
}

// What the json says of object k but for its own number.
std::string annotation(const Objects& objects, size_t k, int64_t image) {
  const RunLengths runs = runs_of(objects.masks[k]);
  const auto [x, y, width, height] = box_of(runs);
  return str("\"image_id\": ", image, ", \"category_id\": ", objects.labels[k] + 1, ", \"bbox\": [",
             x, ", ", y, ", ", width, ", ", height, "], \"area\": ", area(runs),
             ", \"iscrowd\": 0, \"segmentation\": {\"size\": [", runs.height, ", ", runs.width,
             "], \"counts\": ", quoted(to_text(runs)), "}}");
}

// Images and label files of one part; image i has the number i + 1 in the json.
void draw_part(const std::string& root, const std::string& part, const std::string& json,
               int64_t images, uint64_t stream, const SceneOptions& o) {
  for (const char* folder : {"/images/", "/annotations/"})
    fs::create_directories(root + folder + part);
  std::vector<std::string> entries(static_cast<size_t>(images));
  std::vector<std::vector<std::string>> objects(static_cast<size_t>(images));
  parallel_for(images, 10, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::array<char, 16> number;
      std::snprintf(number.data(), number.size(), "%04d", int(i));
      const std::string name = part + "/" + number.data();
      Example scene =
          draw_scene(o.size, Random(o.seed, Purpose::drawing, uint64_t(i), stream), o.shapes);
      write_jpeg(root + "/images/" + name + ".jpg", scene.image, o.quality);
      for (uint8_t& label : scene.labels.labels) ++label;  // 0 is "unlabelled"
      write_grey_png(root + "/annotations/" + name + ".png",
                     {o.size, o.size, std::move(scene.labels.labels)});
      entries[size_t(i)] = str("{\"id\": ", i + 1, ", \"file_name\": \"", name,
                               ".jpg\", \"width\": ", o.size, ", \"height\": ", o.size, "}");
      for (size_t k = 0; k < scene.objects.labels.size(); ++k)
        objects[size_t(i)].push_back(annotation(scene.objects, k, i + 1));
    }
  });
  std::vector<std::string> annotations, categories;
  for (const auto& of_image : objects)
    for (const std::string& text : of_image)
      annotations.push_back(str("{\"id\": ", annotations.size() + 1, ", ", text));
  for (int64_t k = 0; k < o.shapes; ++k)
    categories.push_back(
        str("{\"id\": ", k + 1, ", \"name\": ", quoted(drawing_classes()[size_t(k)]), "}"));
  const std::string text = "{\"images\": " + list_of(entries) +
                           ",\n\"annotations\": " + list_of(annotations) +
                           ",\n\"categories\": " + list_of(categories) + "}\n";
  write_unsynced(root + "/annotations/" + json, {{text.data(), text.size()}});
}

}  // namespace

bool draw_scenes(const std::string& root, const SceneOptions& o) {
  CHECK(o.train_images >= 1 && o.val_images >= 1 && o.train_images <= 1'000'000 &&
            o.val_images <= 1'000'000,
        "drawings: ", o.train_images, " training and ", o.val_images,
        " validation images; both must be between 1 and a million");
  return fill_drawn_folder(root, mark_of(o), [&](const std::string& folder) {
    draw_part(folder, "training", "instances_train.json", o.train_images, kTrain, o);
    draw_part(folder, "validation", "instances_val.json", o.val_images, kVal, o);
    std::string names;
    for (const std::string& name : scene_classes(o.shapes)) names += name + "\n";
    write_unsynced(folder + "/classes.txt", {{names.data(), names.size()}});
  });
}

}  // namespace rmt::data
