#include "train/detection/coco_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/files/files.h"

namespace rmt::train {
namespace {

using nlohmann::json;

constexpr size_t kMostBytes = size_t(1) << 30;

const json& field(const json& entry, const char* name) {
  const auto it = entry.find(name);
  CHECK(it != entry.end(), "has no \"", name, "\"");
  return *it;
}

int64_t whole(const json& entry, const char* name) {
  const json& value = field(entry, name);
  CHECK(value.is_number_integer(), "its \"", name, "\" is no whole number");
  return value.get<int64_t>();
}

double number(const json& value, const char* name) {
  CHECK(value.is_number(), "its \"", name, "\" has something else than a number");
  return value.get<double>();
}

CocoBox box_in(const json& entry) {
  const json& value = field(entry, "bbox");
  CHECK(value.is_array() && value.size() == 4, "its \"bbox\" is not [x, y, width, height]");
  CocoBox box;
  for (size_t i = 0; i < 4; ++i) box[i] = number(value[i], "bbox");
  CHECK(box[2] >= 0 && box[3] >= 0, "its \"bbox\" is ", box[2], " wide and ", box[3], " high");
  return box;
}

// `size`: width and height.
data::RunLengths mask_in(const json& entry, const std::array<int64_t, 2>& size) {
  const json& value = field(entry, "segmentation");
  CHECK(value.is_object(), "its \"segmentation\" is not {\"size\": ..., \"counts\": ...}");
  const json &given = field(value, "size"), &counts = field(value, "counts");
  CHECK(given == json({size[1], size[0]}), "its mask's \"size\" is not [", size[1], ",", size[0],
        "], the image's height and width");
  if (counts.is_string())
    return data::from_text(counts.get_ref<const std::string&>(), size[0], size[1]);
  CHECK(counts.is_array(), "its mask's \"counts\" are neither a string nor a list");
  std::vector<int64_t> list;
  for (const json& n : counts) {
    CHECK(n.is_number_integer(), "its mask's \"counts\" have something else than whole numbers");
    list.push_back(n.get<int64_t>());
  }
  return data::from_counts(list, size[0], size[1]);
}

CocoDetection detection_in(const json& entry, CocoKind kind, const CocoNames& names) {
  CocoDetection d;
  d.image = whole(entry, "image_id");
  d.category = whole(entry, "category_id");
  d.score = number(field(entry, "score"), "score");
  const auto size = names.images.find(d.image);
  CHECK(size != names.images.end(), "image ", d.image, " is none of the ", names.images.size(),
        " that were to be looked at; the results are of another set");
  CHECK(std::count(names.categories.begin(), names.categories.end(), d.category),
        "there is no category ", d.category, "; categories go by the ids of the annotations");
  if (kind == CocoKind::kBoxes)
    d.box = box_in(entry);
  else
    d.mask = mask_in(entry, size->second);
  return d;
}

void append(std::string& text, double x) {
  char digits[32];
  text.append(digits, std::to_chars(digits, digits + sizeof digits, x).ptr);
}

// COCO's characters '0' ... 'o', of which the backslash alone means something in JSON.
void append_quoted(std::string& text, const std::string& mask) {
  text += '"';
  for (const char c : mask) text += c == '\\' ? "\\\\" : std::string(1, c);
  text += '"';
}

}  // namespace

std::vector<CocoDetection> read_coco_results(const std::string& path, CocoKind kind,
                                             const CocoNames& names) {
  const std::string text = read_file(path, kMostBytes);
  std::vector<CocoDetection> out;
  // Entry by entry, so that no more than one of them is in memory as JSON.
  const auto take = [&](int depth, json::parse_event_t event, json& parsed) {
    using Event = json::parse_event_t;
    if (depth == 0)
      CHECK(event == Event::array_start || event == Event::array_end, path,
            ": is no list of detections, [{\"image_id\": ...}, ...]");
    if (depth != 1) return true;
    CHECK(event == Event::object_start || event == Event::object_end || event == Event::key, path,
          ": entry ", out.size(), " is no object, {\"image_id\": ...}");
    if (event != Event::object_end) return true;
    try {
      out.push_back(detection_in(parsed, kind, names));
    } catch (const Error& e) {
      throw Error(str(path, ": entry ", out.size(), ": ", e.what()));
    }
    return false;
  };
  try {
    // Read by callbacks alone: the result has lost its entries.
    [[maybe_unused]] const json list = json::parse(text, take);
  } catch (const json::exception& e) {
    throw Error(str(path, ": is no list of detections: ", e.what()));
  }
  return out;
}

void write_coco_results(const std::string& path, const std::vector<CocoDetection>& detections,
                        CocoKind kind) {
  std::string text = "[";
  for (size_t i = 0; i < detections.size(); ++i) {
    const CocoDetection& d = detections[i];
    CHECK(std::isfinite(d.score), path, ": detection ", i, " has the score ", d.score);
    if (i > 0) text += ",\n";
    text += str("{\"image_id\":", d.image, ",\"category_id\":", d.category);
    if (kind == CocoKind::kBoxes) {
      for (size_t side = 0; side < 4; ++side) {
        CHECK(std::isfinite(d.box[side]), path, ": detection ", i, " has a box with ", d.box[side],
              " in it");
        text += side == 0 ? ",\"bbox\":[" : ",";
        append(text, d.box[side]);
      }
    } else {
      text +=
          str(",\"segmentation\":{\"size\":[", d.mask.height, ",", d.mask.width, "],\"counts\":");
      append_quoted(text, data::to_text(d.mask));
    }
    text += kind == CocoKind::kBoxes ? "],\"score\":" : "},\"score\":";
    append(text, d.score);
    text += "}";
  }
  write_file(path, text + "]\n");
}

}  // namespace rmt::train
