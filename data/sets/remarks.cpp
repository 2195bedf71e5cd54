#include "data/sets/remarks.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/error.h"
#include "data/images/header.h"
#include "data/sets/cifar.h"
#include "data/sets/subset.h"

namespace rmt::data {
namespace {

// Files that are probably pictures: those of other formats, and those whose name does not say.
bool may_be_picture(const std::string& extension) {
  static const std::set<std::string> others = {
      "",     ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl", ".jp2",
      ".ppm", ".pgm",  ".pnm", ".tga", ".psd", ".svg",  ".ico",  ".dng",  ".cr2",  ".nef", ".arw"};
  return others.contains(extension);
}

// "3 .webp (cat/1.webp, cat/2.webp, ...)", with so many names at most.
std::string counted(const Leftovers::Files& files, const std::string& what, size_t most = 3) {
  const size_t shown = std::min(most, files.examples.size());
  std::string names;
  for (size_t i = 0; i < shown; ++i) names += (i ? ", " : "") + files.examples[i];
  return str(files.count, " ", what, " (", names, files.count > int64_t(shown) ? ", ..." : "", ")");
}

// Shorter sides of a few dozen images, spread over the set; those without a header left out.
std::vector<int64_t> some_sides(const Dataset& data) {
  constexpr int64_t kLooks = 32;
  std::vector<int64_t> sides;
  const int64_t looks = std::min(kLooks, data.size());
  const bool cifar = dynamic_cast<const Cifar*>(&data) != nullptr;  // pixels without a header
  for (int64_t k = 0; k < looks; ++k) try {
      const int64_t i = data.size() * k / looks;
      const ImageHeader header = cifar ? ImageHeader{"", 32, 32} : image_header(data.bytes(i));
      if (header.width > 0 && header.height > 0)
        sides.push_back(std::min(header.width, header.height));
    } catch (const Error&) {  // is named when the loader meets it
    }
  std::sort(sides.begin(), sides.end());
  return sides;
}

void remark_on_size(const Dataset& data, int64_t img_size, std::vector<std::string>& remarks) {
  const std::vector<int64_t> sides = some_sides(data);
  if (sides.empty()) return;
  const int64_t side = sides[sides.size() / 2], fit = std::max<int64_t>(32, (side + 31) / 32 * 32);
  if (2 * side > img_size || fit >= img_size) return;
  remarks.push_back(str(
      "a typical image has ", side, " pixels at its shorter side and is enlarged to --img-size ",
      img_size, "; --img-size ", fit, " shows the model as much of it, in a fraction of the time"));
}

void remark_on_val(const Dataset& train, const Dataset& val, std::vector<std::string>& remarks) {
  const std::string name = in_lower_case(std::filesystem::path(val.place()).filename().string());
  if (dynamic_cast<const Subset*>(&val))
    remarks.push_back(str(val.size(), " of the ", train.size() + val.size(), " images of ",
                          val.place(), " are held out for validation"));
  else if (name == "test" || name.starts_with("test-"))  // test-*.tar
    remarks.push_back(str(val.place(), " is used for validation, as there is no val/"));
  std::vector<int64_t> count(val.classes().size());
  for (int64_t i = 0; i < val.size(); ++i) ++count[size_t(val.label(i))];
  std::vector<std::string> without;
  for (size_t k = 0; k < count.size(); ++k)
    if (count[k] == 0) without.push_back(val.classes()[k]);
  if (!without.empty())
    remarks.push_back(str("there are no validation images of ", without.size(), " of the ",
                          count.size(), " classes (", first_names(without),
                          "): the accuracy says nothing of them"));
}

}  // namespace

std::string first_names(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < 5; ++i) text += (i ? ", " : "") + names[i];
  return names.size() > 5 ? text + str(" and ", names.size() - 5, " more") : text;
}

std::vector<std::string> remarks_on_files(const Leftovers& left, const std::string& place,
                                          bool all) {
  std::vector<std::string> remarks;
  std::string kinds, patterns;
  int64_t count = 0;
  std::map<std::string, Leftovers::Files> shown = left.unread;
  if (!all) std::erase_if(shown, [](const auto& kind) { return !may_be_picture(kind.first); });
  for (const auto& [kind, files] : shown) {
    count += files.count;
    kinds += (kinds.empty() ? "" : ", ") +
             counted(files, kind.empty() ? "without an extension" : kind, shown.size() > 3 ? 1 : 3);
    if (!kind.empty() && may_be_picture(kind)) patterns += " *" + kind;
  }
  const bool nameless = left.unread.contains("");
  if (count > 0)
    remarks.push_back(
        str(place, ": ", count, count == 1 ? " file is" : " files are",
            " not read, only .jpg, .jpeg and .png are: ", kinds,
            patterns.empty() ? "" : "; ImageMagick's mogrify -format png" + patterns + " converts",
            nameless ? "; give files without an extension that of their format" : ""));
  if (left.beside.count > 0)
    remarks.push_back(str(place, ": ",
                          counted(left.beside, left.beside.count == 1 ? "image" : "images"),
                          " beside the class folders, not read; sort into these"));
  if (left.deeper.count > 0)
    remarks.push_back(str(place, ": ", counted(left.deeper, "images"),
                          " lie in folders of their own below a class folder and are read as that "
                          "class; folders that are classes belong directly into ",
                          place));
  return remarks;
}

std::vector<std::string> remarks_on_run(const Dataset& train, const Dataset& val,
                                        int64_t img_size) {
  std::vector<std::string> remarks = remarks_on_files(train.leftovers(), train.place());
  if (val.place() != train.place())
    for (std::string& line : remarks_on_files(val.leftovers(), val.place()))
      remarks.push_back(std::move(line));
  remark_on_val(train, val, remarks);
  remark_on_size(train, img_size, remarks);
  return remarks;
}

}  // namespace rmt::data
