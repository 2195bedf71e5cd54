// The drawings as an image folder: painted into root.tmp, which then takes its name, so that a
// reader never meets half a data set.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/error.h"
#include "core/parallel.h"
#include "data/sets/drawings.h"

namespace rmt::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMark =
    "drawings.txt";          // what the folder holds; its presence says that this program made it
constexpr int kVersion = 2;  // of the painting

std::string describe(const DrawingOptions& o) {
  return str("rmt drawings, version ", kVersion, ": ", o.train_images, " training and ",
             o.val_images, " validation images of ", o.size, " x ", o.size, ", seed ", o.seed,
             ", JPEG quality ", o.quality, "\n");
}

// One process draws at a time; the others wait and find the work done. The lock ends with the
// process, however that ends.
class Lock {
 public:
  explicit Lock(const std::string& path)
      : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    CHECK(fd_ >= 0, "drawings: cannot create ", path, ": ", std::strerror(errno));
    while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~Lock() { ::close(fd_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  int fd_;
};

void draw_split(const std::string& folder, int64_t images, uint64_t split,
                const DrawingOptions& o) {
  const std::vector<std::string>& classes = drawing_classes();
  const int64_t kinds = int64_t(classes.size());
  for (const std::string& name : classes) fs::create_directories(folder + "/" + name);
  parallel_for(images, 50, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::array<char, 16> number;
      std::snprintf(number.data(), number.size(), "%04d", int(i / kinds));
      Image image = draw(o.size, i % kinds, Random(o.seed, Purpose::drawing, uint64_t(i), split));
      write_jpeg(folder + "/" + classes[size_t(i % kinds)] + "/" + number.data() + ".jpg", image,
                 o.quality);
    }
  });
}

}  // namespace

bool draw_dataset(const std::string& given_root, const DrawingOptions& o) {
  const int64_t kinds = int64_t(drawing_classes().size());
  CHECK(o.train_images >= kinds && o.val_images >= kinds && o.train_images <= 1'000'000 &&
            o.val_images <= 1'000'000,
        "drawings: ", o.train_images, " training and ", o.val_images,
        " validation images; both must be between ", kinds, " and a million");
  std::string root = fs::path(given_root).lexically_normal().string();
  while (root.size() > 1 && root.ends_with('/')) root.pop_back();
  CHECK(!root.empty() && root != "/" && root != ".", "drawings: \"", given_root,
        "\" is no name for a new folder");
  const std::string mark = describe(o), temporary = root + ".tmp";
  try {
    if (fs::path(root).has_parent_path()) fs::create_directories(fs::path(root).parent_path());
    Lock lock(root + ".lock");
    if (fs::exists(root)) {
      std::ifstream file(root + "/" + kMark);
      CHECK(file, "drawings: ", root,
            " exists and was not drawn by this program; choose another folder or remove it");
      std::ostringstream found;
      found << file.rdbuf();
      if (found.str() == mark) return false;
    }
    fs::remove_all(temporary);
    draw_split(temporary + "/train", o.train_images, 0, o);
    draw_split(temporary + "/val", o.val_images, 1, o);
    std::ofstream file(temporary + "/" + kMark);
    CHECK(file << mark && file.flush(), "drawings: cannot write ", temporary, "/", kMark,
          " (is the disk full?)");
    file.close();
    fs::remove_all(root);
    fs::rename(temporary, root);
  } catch (const fs::filesystem_error& e) {
    throw Error(str("drawings: ", e.what()));
  }
  return true;
}

}  // namespace rmt::data
