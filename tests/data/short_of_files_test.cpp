// What the system is short of is not the images' fault: with no file descriptor left, what reads
// ends with the remedy, and no image counts as broken.
#include <fcntl.h>
#include <sys/resource.h>

#include "core/parallel.h"
#include "data/loader.h"
#include "data/sets/check.h"
#include "data/sets/image_folder.h"
#include "data/sets/pack.h"
#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;

namespace {

// No further file can be opened while it lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const int next = ::open("/dev/null", O_RDONLY);
    ::close(next);
    const rlimit none{rlim_t(next), before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_;
};

struct Fixture {
  TemporaryFolder folder;
  Fixture() {
    for (const char* name : {"train/a/1.jpg", "train/a/2.jpg", "train/b/3.jpg", "train/b/4.jpg"})
      folder.write(name, encode_jpeg(test_image(20, 18), 90));
  }
};

// The message of the SystemError that f throws while there are no descriptors.
template <class F>
std::string refusal(const F& f) {
  const NoDescriptors none;
  try {
    f();
  } catch (const SystemError& e) {
    return e.what();
  } catch (const Error&) {
    return "an Error that is none of the system's";
  }
  return "no Error";
}

}  // namespace

TEST(ShortOfFiles, TheLoaderEndsAndCountsNoImageAsBad) {
  const Fixture f;
  const ImageFolder images(f.folder.path(), "train");
  for (int workers : {0, 2}) {
    LoaderOptions o;
    o.batch_size = 2, o.workers = workers, o.transform.image_size = 12;
    Loader loader(images, o);
    EXPECT_TRUE(contains(refusal([&] {
                           loader.start(0);
                           loader.next();
                         }),
                         "raise the limit (ulimit -n)"))
        << workers;
    EXPECT_TRUE(loader.bad().empty());
    loader.start(0);
    EXPECT_TRUE(loader.next()) << "with descriptors again";
  }
}

// A set whose files cannot be opened.
struct Closed : ImageFolder {
  using ImageFolder::ImageFolder;
  std::vector<uint8_t> bytes(int64_t i) const override {
    const NoDescriptors none;
    return ImageFolder::bytes(i);
  }
};

TEST(ShortOfFiles, APackEndsAndLeavesNoImageOut) {
  const Fixture f;
  const Closed images(f.folder.path(), "train");
  const TemporaryFolder out;
  set_threads(1);  // the other threads' files would be refused, too
  EXPECT_THROW(pack_dataset(images, out / "pack", "train"), SystemError);
}
