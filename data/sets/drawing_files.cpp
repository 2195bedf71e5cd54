// The drawings as an image folder: painted into root.tmp, which then takes its name, so that a
// reader never meets half a data set.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "core/error.h"
#include "core/files/file_calls.h"
#include "core/files/files.h"
#include "core/parallel.h"
#include "data/sets/drawings.h"

namespace rmt::data {
namespace {

namespace fs = std::filesystem;

// This file says what the folder holds; its presence says that this program made it.
constexpr const char* kMark = "/drawings.txt";
constexpr int kVersion = 2;  // of the painting

std::string mark_of(const DrawingOptions& o) {
  return str("rmt drawings, version ", kVersion, ": ", o.train_images, " training and ",
             o.val_images, " validation images of ", o.size, " x ", o.size, ", seed ", o.seed,
             ", JPEG quality ", o.quality, "\n");
}

// One process draws at a time; the others wait and find the work done. The lock ends with the
// process, however that ends.
class Lock {
 public:
  explicit Lock(const std::string& path)
      : fd_(sys::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    if (fd_ < 0) file_error("create", "drawings: " + path, errno);
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
      Image image =
          draw_shape(o.size, i % kinds, Random(o.seed, Purpose::drawing, uint64_t(i), split));
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
  const std::string mark = mark_of(o), temporary = root + ".tmp";
  try {
    if (fs::path(root).has_parent_path()) fs::create_directories(fs::path(root).parent_path());
    Lock lock(root + ".lock");
    if (fs::exists(root)) {
      CHECK(fs::exists(root + kMark), "drawings: ", root,
            " exists and was not drawn by this program; choose another folder or remove it");
      if (read_file(root + kMark, 1 << 20) == mark) return false;
    }
    fs::remove_all(temporary);
    draw_split(temporary + "/train", o.train_images, 0, o);
    draw_split(temporary + "/val", o.val_images, 1, o);
    write_unsynced(temporary + kMark, {{mark.data(), mark.size()}});
    fs::remove_all(root);
    if (sys::rename(temporary.c_str(), root.c_str()) != 0)
      file_error("draw", "drawings: " + root, errno);
  } catch (const fs::filesystem_error& e) {
    throw Error(str("drawings: ", e.what()));
  }
  return true;
}

}  // namespace rmt::data
