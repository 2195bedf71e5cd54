// COCO's instances_*.json: images, categories, and objects with boxes and masks. That of train2017
// has 450 MB of text; it is read as a stream, and what stays in memory is compact.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/masks/run_lengths.h"

namespace rmt::data {

struct CocoImage {
  int64_t id = 0;
  std::string file;               // below the folder of images
  int64_t width = 0, height = 0;  // pixels
};

struct CocoCategory {
  int64_t id = 0;
  std::string name;
};

// What training does not take, since COCO's tools do not: the first reason that holds.
enum class Unfit : uint8_t {
  kNo,
  kIgnore,      // "ignore" is not 0
  kDegenerate,  // area <= 0, or a box less than 1 pixel wide or high
  kOutside      // the box has no area in common with the image
};

struct CocoAnnotation {
  int64_t id = 0;
  int64_t image = 0;            // place in CocoJson::images
  int64_t label = 0;            // place in CocoJson::categories
  std::array<double, 4> box{};  // x, y, width, height in pixels
  double area = 0;              // pixels of the mask, as the file says
  bool crowd = false;           // a region of many objects of the kind
  Unfit unfit = Unfit::kNo;

  // Its segmentation in CocoJson::words: whole hundredths of a pixel, doubles of two words each, or
  // runs.
  enum class Form : uint8_t { kNone, kHundredths, kDoubles, kRuns } form = Form::kNone;
  uint32_t words = 0;  // how many
  uint64_t at = 0;     // the first
};

struct CocoJson {
  std::string path;
  std::vector<CocoImage> images;            // in the file's order
  std::vector<CocoCategory> categories;     // sorted by id: a label is a place in this list
  std::vector<CocoAnnotation> annotations;  // in the file's order, unfit ones too
  std::vector<uint32_t> words;              // of all segmentations, one after the other

  // Left out of training, "annotation 17, id 4711" each; and polygons of less than 3 points, which
  // are left out of their masks.
  Leftovers::Files ignored, outside, degenerate, short_polygons;

  // The annotations of image i as places in `annotations`, in the file's order.
  std::span<const uint32_t> of_image(int64_t i) const;
  bool has_mask(const CocoAnnotation& a) const { return a.form != CocoAnnotation::Form::kNone; }
  std::vector<std::vector<double>> polygons(const CocoAnnotation& a) const;  // none of run lengths
  RunLengths mask(const CocoAnnotation& a) const;  // of its image's size; Error without one
  std::string entry(int64_t annotation) const;     // "annotation 17, id 4711", counted from 1
  std::vector<std::string> remarks() const;        // a line for each kind of what was left out

  std::vector<uint32_t> by_image;   // places of annotations, image by image
  std::vector<uint64_t> image_end;  // where in by_image those of image i end
};

// Reads the whole file. An annotation needs id, image_id, category_id, bbox and area; iscrowd and
// ignore are 0 where they are not said, and segmentation is a list of polygons, {size, counts} with
// counts as a list or as COCO's string, or nothing ([], null). Fields of other names are skipped.
// Errors begin with the path and name the entry ("annotation 17, id 4711: ..."): a field that is
// missing, of another type or there twice; ids that are there twice; images and categories that are
// not; sizes beyond 16384 pixels a side or 100 million in all; coordinates beyond 1e8 or an odd
// number of them; run lengths that do not add up to the image; anything that is no JSON.
CocoJson read_coco_json(const std::string& path);

// "3 annotations of a kind (annotation 17, id 4711; ...)", for people.
std::string remark(const Leftovers::Files& files, const char* what);

}  // namespace rmt::data
