// Listens to the JSON parser and fills a CocoJson as far as one entry can be judged by itself;
// what entries say of each other is for read_coco_json().
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/detection/coco_json.h"

namespace rmt::data {

// Until its end is read, CocoAnnotation::image is the image's id, and label the category's.
class CocoParser : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit CocoParser(CocoJson& out) : out_(out) {}

  bool start_object(size_t) override;
  bool end_object() override;
  bool start_array(size_t) override;
  bool end_array() override;
  bool key(std::string& text) override;
  bool string(std::string& text) override;
  bool number_unsigned(uint64_t n) override;
  bool number_integer(int64_t n) override;
  bool number_float(double x, const std::string& text) override;
  bool boolean(bool on) override;
  bool null() override;
  bool binary(nlohmann::json::binary_t&) override { refuse("has binary data"); }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override;

  // Error where one of the three lists is not there.
  void check_complete() const;

  enum class List { kNone, kImages, kCategories, kAnnotations };
  enum class Kind { kWhole, kNumber, kText, kFlag, kBox, kSegmentation };
  struct Field {
    List list;
    const char* name;
    Kind kind;
    bool needed;
  };

 private:
  // How many lists and objects are open around a value of each sort.
  static constexpr int kRoot = 1, kInList = 2, kInEntry = 3, kInField = 4, kInner = 5;

  [[noreturn]] void refuse(const std::string& what) const;
  [[noreturn]] void refuse_type(const char* is);
  bool in_runs() const { return field_->kind == Kind::kSegmentation && runs_; }
  bool skipped() const;
  void open(bool array);
  void open_field(bool array);
  void close();
  void begin_entry();
  void end_entry();
  void end_field();
  void end_runs();
  void pack_polygons();
  void number(double x);
  void store(double x);

  CocoJson& out_;
  int depth_ = 0;
  List list_ = List::kNone;       // kNone: of another name, skipped
  const Field* field_ = nullptr;  // of the entry; null: of another name, skipped
  unsigned lists_ = 0;            // that have been met, a bit each
  int64_t index_ = 0;             // of the entry in its list, from 1
  unsigned have_ = 0;             // fields of the entry, a bit each
  bool has_id_ = false;
  int64_t id_ = 0;

  // The segmentation of this annotation.
  enum class Part { kOther, kSize, kCounts };
  bool runs_ = false;  // an object, not a list of polygons
  Part part_ = Part::kOther;
  std::vector<double> numbers_;  // of the list that is open
  std::vector<std::vector<double>> polygons_;
  bool short_polygons_ = false;  // some were left out
  std::vector<double> size_;     // height, width
  std::vector<double> counts_;   // as a list,
  std::string text_;             // or as COCO's string
};

}  // namespace rmt::data
