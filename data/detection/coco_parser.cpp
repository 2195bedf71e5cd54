#include "data/detection/coco_parser.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/error.h"

namespace rmt::data {
namespace {

using List = CocoParser::List;
using Kind = CocoParser::Kind;

constexpr int kDeepest = 64;
constexpr double kMaxCoordinate = 1e8, kMaxWhole = 0x1p53;
constexpr int64_t kMaxSide = 16384, kMaxPixels = 100'000'000;  // of what decode_image() takes
constexpr size_t kMaxText = 4096;                              // bytes of a name

constexpr struct {
  List list;
  const char *name, *one;
} kLists[] = {{List::kImages, "images", "image"},
              {List::kCategories, "categories", "category"},
              {List::kAnnotations, "annotations", "annotation"}};

constexpr CocoParser::Field kFields[] = {
    {List::kImages, "id", Kind::kWhole, true},
    {List::kImages, "file_name", Kind::kText, true},
    {List::kImages, "width", Kind::kWhole, true},
    {List::kImages, "height", Kind::kWhole, true},
    {List::kCategories, "id", Kind::kWhole, true},
    {List::kCategories, "name", Kind::kText, true},
    {List::kAnnotations, "id", Kind::kWhole, true},
    {List::kAnnotations, "image_id", Kind::kWhole, true},
    {List::kAnnotations, "category_id", Kind::kWhole, true},
    {List::kAnnotations, "bbox", Kind::kBox, true},
    {List::kAnnotations, "area", Kind::kNumber, true},
    {List::kAnnotations, "iscrowd", Kind::kFlag, false},
    {List::kAnnotations, "ignore", Kind::kFlag, false},
    {List::kAnnotations, "segmentation", Kind::kSegmentation, false},
};

unsigned bit_of(const CocoParser::Field* field) { return 1u << (field - kFields); }

const char* wanted(Kind kind) {
  switch (kind) {
    case Kind::kWhole: return "a whole number";
    case Kind::kNumber: return "a number";
    case Kind::kText: return "text";
    case Kind::kFlag: return "0 or 1";
    case Kind::kBox: return "a list of x, y, width and height";
    case Kind::kSegmentation: break;
  }
  return "a list of polygons, each a list of x, y, x, y, ..., or {\"size\": [height, width], "
         "\"counts\": a list or COCO's string}";
}

// A path below the folder of images.
bool is_path_below(const std::string& name) {
  return is_plain_text(name) && name.size() <= kMaxText && name[0] != '/' &&
         ("/" + name + "/").find("/../") == std::string::npos;
}

}  // namespace

void CocoParser::refuse(const std::string& what) const {
  std::string entry;
  for (const auto& list : kLists)
    if (list.list == list_ && depth_ >= kInList && index_ > 0)
      entry = str(list.one, " ", index_, has_id_ ? str(", id ", id_) : "", ": ");
  throw Error(str(out_.path, ": ", entry, what));
}

void CocoParser::refuse_type(const char* is) {
  if (depth_ == 0) refuse(str("is ", is, " and no object with images, categories and annotations"));
  if (depth_ == kRoot)
    for (const auto& list : kLists)
      if (list.list == list_)
        refuse(str("\"", list.name, "\" is ", is, "; it should be a list of objects"));
  if (depth_ == kInList) {
    has_id_ = false, ++index_;
    refuse(str("is ", is, "; it should be an object with an id"));
  }
  refuse(str("\"", field_->name, "\" ", depth_ > kInEntry ? "holds " : "is ", is, "; it should be ",
             wanted(field_->kind)));
}

// Does nobody ask for the value that begins or ends here?
bool CocoParser::skipped() const {
  if (depth_ == 0 || depth_ == kInList) return depth_ > 0 && list_ == List::kNone;
  if (depth_ == kRoot || list_ == List::kNone) return list_ == List::kNone;
  return !field_ || (depth_ >= kInField && in_runs() && part_ == Part::kOther);
}

// --- lists and objects ---

void CocoParser::open(bool array) {
  if (depth_ == kDeepest) refuse(str("nests more than ", kDeepest, " lists and objects"));
  if (!skipped()) {
    // The root and its entries are objects, what lies between them is a list.
    if (depth_ < kInEntry && array != (depth_ == kRoot))
      refuse_type(array ? "a list" : "an object");
    if (depth_ == kRoot) index_ = 0;
    if (depth_ == kInList) begin_entry();
    if (depth_ >= kInEntry) open_field(array);
  }
  ++depth_;
}

void CocoParser::begin_entry() {
  ++index_;
  have_ = 0, has_id_ = false, short_polygons_ = false, field_ = nullptr;
  if (list_ == List::kImages) out_.images.emplace_back();
  if (list_ == List::kCategories) out_.categories.emplace_back();
  if (list_ == List::kAnnotations) out_.annotations.emplace_back();
}

void CocoParser::open_field(bool array) {
  const bool box = field_->kind == Kind::kBox, segmentation = field_->kind == Kind::kSegmentation;
  const bool fits = depth_ == kInEntry ? segmentation || (box && array)
                                       : depth_ == kInField && segmentation && array;
  if (!fits) refuse_type(array ? "a list" : "an object");
  numbers_.clear();
  if (depth_ > kInEntry) return;
  runs_ = !array;
  part_ = Part::kOther;
  polygons_.clear(), size_.clear(), counts_.clear(), text_.clear();
}

void CocoParser::close() {
  --depth_;
  if (depth_ == 0 || skipped()) return;
  if (depth_ == kRoot) list_ = List::kNone;
  if (depth_ == kInList) end_entry();
  if (depth_ == kInEntry) end_field();
  if (depth_ == kInField && runs_) (part_ == Part::kSize ? size_ : counts_).swap(numbers_);
  if (depth_ == kInField && !runs_) {
    if (numbers_.size() % 2 != 0)
      refuse(str("a polygon has ", numbers_.size(),
                 " coordinates, an odd number; each of its points is x, y"));
    polygons_.push_back(numbers_);
  }
}

void CocoParser::end_entry() {
  for (const Field& field : kFields)
    if (field.list == list_ && field.needed && !(have_ & bit_of(&field)))
      refuse(str("has no \"", field.name, "\"; it should be ", wanted(field.kind)));
  if (list_ == List::kImages) {
    const CocoImage& image = out_.images.back();
    if (std::min(image.width, image.height) < 1 || std::max(image.width, image.height) > kMaxSide ||
        image.width * image.height > kMaxPixels)
      refuse(str("is ", image.width, " x ", image.height, " pixels; sides are 1 to ", kMaxSide,
                 ", and no image has more than 100 million"));
  }
  if (short_polygons_) out_.short_polygons.add(out_.entry(index_ - 1));
}

void CocoParser::end_field() {
  if (field_->kind == Kind::kBox) {
    if (numbers_.size() != 4) refuse_type("a list of other length");
    std::copy(numbers_.begin(), numbers_.end(), out_.annotations.back().box.begin());
  } else if (runs_) {
    end_runs();
  } else {
    pack_polygons();
  }
  field_ = nullptr;
}

// Words: width, height, runs.
void CocoParser::end_runs() {
  if (size_.size() != 2) refuse("its run lengths have no \"size\": [height, width]");
  const auto height = int64_t(size_[0]), width = int64_t(size_[1]);
  RunLengths runs;
  try {
    runs = text_.empty() ? from_counts({counts_.begin(), counts_.end()}, width, height)
                         : from_text(text_, width, height);
  } catch (const Error& e) {
    refuse(e.what());
  }
  CocoAnnotation& a = out_.annotations.back();
  a.form = CocoAnnotation::Form::kRuns;
  a.at = out_.words.size();
  a.words = uint32_t(2 + runs.counts.size());
  out_.words.insert(out_.words.end(), {uint32_t(width), uint32_t(height)});
  out_.words.insert(out_.words.end(), runs.counts.begin(), runs.counts.end());
}

// Words: for each polygon its number of coordinates, and these. COCO's have two decimals, and
// q / 100 of a whole q is the double that such a text is read as: so q is kept, in half the space.
void CocoParser::pack_polygons() {
  CocoAnnotation& a = out_.annotations.back();
  const size_t all = polygons_.size();
  std::erase_if(polygons_, [](const auto& polygon) { return polygon.size() < 6; });
  if (polygons_.size() < all) short_polygons_ = true;
  if (polygons_.empty()) return;
  bool hundredths = true;
  for (const auto& polygon : polygons_)
    for (const double x : polygon)
      hundredths &=
          std::abs(x) < 1e7 && std::rint(x * 100) / 100 == x && !(x == 0 && std::signbit(x));
  a.form = hundredths ? CocoAnnotation::Form::kHundredths : CocoAnnotation::Form::kDoubles;
  a.at = out_.words.size();
  for (const auto& polygon : polygons_) {
    out_.words.push_back(uint32_t(polygon.size()));
    for (const double x : polygon) {
      if (hundredths) {
        out_.words.push_back(uint32_t(int32_t(std::rint(x * 100))));
      } else {
        const auto bits = std::bit_cast<uint64_t>(x);
        out_.words.insert(out_.words.end(), {uint32_t(bits), uint32_t(bits >> 32)});
      }
    }
  }
  a.words = uint32_t(out_.words.size() - a.at);
}

// --- what stands alone: numbers, text, true, null ---

// A number in a list of a field, or the whole value of one.
void CocoParser::number(double x) {
  if (skipped()) return;
  if (depth_ < kInEntry) refuse_type("a number");
  if (depth_ == kInEntry) return store(x);
  const bool list_of_lists = field_->kind == Kind::kSegmentation;
  if (list_of_lists && depth_ == kInField) refuse_type("numbers that are in no list of their own");
  const bool runs = list_of_lists && runs_;
  if (runs && x != std::floor(x)) refuse("its run lengths hold a number that is not whole");
  if (std::abs(x) > kMaxCoordinate) refuse(str("a number of \"", field_->name, "\" is beyond 1e8"));
  if ((field_->kind == Kind::kBox && numbers_.size() == 4) ||
      (runs && part_ == Part::kSize && numbers_.size() == 2))
    refuse_type("more numbers");
  numbers_.push_back(x);
}

void CocoParser::store(double x) {
  const Kind kind = field_->kind;
  if (kind == Kind::kText || kind == Kind::kBox || kind == Kind::kSegmentation)
    refuse_type("a number");
  if (kind == Kind::kWhole && (x != std::floor(x) || std::abs(x) >= kMaxWhole))
    refuse_type("a number that is not whole, or not below 2^53");
  const std::string_view name = field_->name;
  if (name == "id") has_id_ = true, id_ = int64_t(x);
  if (list_ == List::kCategories) out_.categories.back().id = int64_t(x);
  if (list_ == List::kImages) {
    CocoImage& image = out_.images.back();
    (name == "id" ? image.id : name == "width" ? image.width : image.height) = int64_t(x);
  }
  if (list_ == List::kAnnotations) {
    CocoAnnotation& a = out_.annotations.back();
    if (name == "id") a.id = int64_t(x);
    if (name == "image_id") a.image = int64_t(x);
    if (name == "category_id") a.label = int64_t(x);
    if (name == "area") a.area = x;
    if (name == "iscrowd") a.crowd = x != 0;
    if (name == "ignore" && x != 0) a.unfit = Unfit::kIgnore;
  }
  field_ = nullptr;
}

bool CocoParser::string(std::string& text) {
  if (skipped()) return true;
  if (depth_ == kInField && in_runs()) {
    if (part_ != Part::kCounts) refuse_type("text");
    text_ = text;
    return true;
  }
  if (depth_ != kInEntry || field_->kind != Kind::kText) refuse_type("text");
  if (list_ == List::kImages) {
    if (!is_path_below(text))
      refuse(
          "\"file_name\" is no path below the folder of images; write it as \"a.jpg\" or "
          "\"folder/a.jpg\"");
    out_.images.back().file = text;
  } else {
    if (!is_plain_text(text) || text.size() > kMaxText)
      refuse("\"name\" is empty, too long or holds control characters");
    out_.categories.back().name = text;
  }
  field_ = nullptr;
  return true;
}

bool CocoParser::boolean(bool on) {
  if (skipped()) return true;
  if (depth_ != kInEntry || field_->kind != Kind::kFlag) refuse_type(on ? "true" : "false");
  store(on);
  return true;
}

bool CocoParser::null() {
  if (skipped()) return true;
  if (depth_ != kInEntry || field_->kind != Kind::kSegmentation) refuse_type("null");
  field_ = nullptr;
  return true;
}

bool CocoParser::key(std::string& text) {
  if (depth_ == kRoot) {
    list_ = List::kNone;
    for (const auto& list : kLists)
      if (text == list.name) {
        list_ = list.list;
        if (lists_ & 1u << int(list_)) refuse(str("has two lists \"", text, "\""));
        lists_ |= 1u << int(list_);
      }
  } else if (depth_ == kInEntry && list_ != List::kNone) {
    field_ = nullptr;
    for (const Field& field : kFields)
      if (field.list == list_ && text == field.name) {
        if (have_ & bit_of(&field)) refuse(str("has \"", text, "\" twice"));
        have_ |= bit_of(&field);
        field_ = &field;
      }
  } else if (depth_ == kInField && list_ != List::kNone && field_) {
    part_ = text == "size" ? Part::kSize : text == "counts" ? Part::kCounts : Part::kOther;
  }
  return true;
}

bool CocoParser::parse_error(size_t position, const std::string&,
                             const nlohmann::detail::exception&) {
  refuse(str("is not JSON in UTF-8, at byte ", position,
             "; it is damaged or was cut short, get it again"));
}

void CocoParser::check_complete() const {
  for (const auto& list : kLists)
    if (!(lists_ & 1u << int(list.list)))
      refuse(str("has no list \"", list.name,
                 "\"; COCO's instances_*.json have images, annotations and categories"));
}

bool CocoParser::start_object(size_t) { return open(false), true; }
bool CocoParser::start_array(size_t) { return open(true), true; }
bool CocoParser::end_object() { return close(), true; }
bool CocoParser::end_array() { return close(), true; }
bool CocoParser::number_unsigned(uint64_t n) { return number(double(n)), true; }
bool CocoParser::number_integer(int64_t n) { return number(double(n)), true; }
bool CocoParser::number_float(double x, const std::string&) { return number(x), true; }

}  // namespace rmt::data
