// Decoding. stb_image is small but was not written for hostile input, and the version that systems
// ship may lack its latest fixes. So a file is first walked by its own structure (structure.h), and
// stb_image then runs with only JPEG and PNG compiled in and with every allocation taken from a
// budget that the claimed size sets.
#include "data/images/image.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "core/files/input_file.h"
#include "data/images/decode.h"
#include "data/images/memory_budget.h"

namespace rmt::data {
namespace {

// What all decoders hold together. Of photographs with 12 megapixels, 120 MB each, thirty are
// decoded at once, and one image that needs more than this goes alone.
MemoryBudget all_decoders(size_t(4) << 30);

// The memory of one decode call: refuses to grow beyond its limit, and gives back at its end
// whatever stb_image has not, its result or what it held when it failed. While it lives it is this
// thread's `current`, which stb_image allocates from.
class DecoderMemory {
 public:
  explicit DecoderMemory(size_t limit) : limit_(limit), outer_(current) { current = this; }
  ~DecoderMemory() {
    current = outer_;
    while (blocks_) {
      Block* next = blocks_->next;
      std::free(blocks_);
      blocks_ = next;
    }
  }
  DecoderMemory(const DecoderMemory&) = delete;
  DecoderMemory& operator=(const DecoderMemory&) = delete;

  void* take(size_t n) {
    if (n > limit_ - used_) return nullptr;
    // Zeros: what a broken file leaves unset must not differ from run to run.
    auto* block = static_cast<Block*>(std::calloc(1, sizeof(Block) + n));
    if (!block) {
      system_refused_ = true;
      return nullptr;
    }
    used_ += n;
    *block = {blocks_, nullptr, n};
    if (blocks_) blocks_->previous = block;
    blocks_ = block;
    return block + 1;
  }
  void give(void* p) {
    if (!p) return;
    Block* block = static_cast<Block*>(p) - 1;
    Block*& link = block->previous ? block->previous->next : blocks_;  // the one that leads to it
    link = block->next;
    if (block->next) block->next->previous = block->previous;
    used_ -= block->bytes;
    std::free(block);
  }
  void* resize(void* p, size_t n) {
    void* q = take(n);
    if (!q || !p) return q;
    std::memcpy(q, p, std::min(n, (static_cast<Block*>(p) - 1)->bytes));
    give(p);
    return q;
  }

  bool system_refused() const { return system_refused_; }  // though the limit was kept

  static thread_local DecoderMemory* current;

 private:
  struct alignas(16) Block {
    Block *next, *previous;
    size_t bytes;
  };
  size_t limit_, used_ = 0;
  bool system_refused_ = false;
  Block* blocks_ = nullptr;
  DecoderMemory* outer_;
};
thread_local DecoderMemory* DecoderMemory::current = nullptr;

void check_stb(bool ok) { CHECK(ok, "the decoder met an impossible state"); }

}  // namespace
}  // namespace rmt::data

#define STBI_MALLOC(n) ::rmt::data::DecoderMemory::current->take(n)
#define STBI_REALLOC(p, n) ::rmt::data::DecoderMemory::current->resize(p, n)
#define STBI_FREE(p) ::rmt::data::DecoderMemory::current->give(p)
#define STBI_ASSERT(x) ::rmt::data::check_stb(x)
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_MAX_DIMENSIONS 16384
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wshadow"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace rmt::data {
namespace {

// RGBA -> RGB, four pixels at a time. A store writes 16 bytes, of which 12 are the four pixels: the
// other 4 lie where the next pixels go, so at least 6 pixels, 18 bytes, must be left.
void drop_fourth(const uint8_t* rgba, int64_t pixels, std::vector<uint8_t>& rgb) {
  typedef uint8_t Four __attribute__((vector_size(16)));
  rgb.resize(size_t(pixels * 3));
  int64_t i = 0;
  for (; i + 6 <= pixels; i += 4) {
    Four v;
    std::memcpy(&v, rgba + i * 4, sizeof v);
    v = __builtin_shufflevector(v, v, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 0, 0, 0, 0);
    std::memcpy(rgb.data() + i * 3, &v, sizeof v);
  }
  for (; i < pixels; ++i) std::memcpy(rgb.data() + i * 3, rgba + i * 4, 3);
}

}  // namespace

void check_file_size(size_t bytes, const std::string& name) {
  CHECK(bytes <= kMaxImageFile, name, ": ", bytes,
        " bytes, more than the 64 MiB that an image file may have; scale it down or remove it");
}

void decode_pixels(const uint8_t* bytes, size_t n, const Outline& outline, int wanted,
                   const std::string& name, const std::function<void(const uint8_t*)>& use) {
  const auto pixels = size_t(outline.width * outline.height);
  // Its pixels and the file's compressed bytes, with some room.
  const size_t limit = (size_t(16) << 20) + 2 * n + pixels * size_t(outline.decoder_bytes);
  const MemoryBudget::Share share(all_decoders, limit + pixels * 3);
  DecoderMemory heap(limit);
  int width = 0, height = 0, channels = 0;
  const stbi_uc* decoded = nullptr;  // in the heap, which frees it
  try {
    decoded = stbi_load_from_memory(bytes, int(n), &width, &height, &channels, wanted);
  } catch (const Error& e) {
    throw Error(str(name, ": cannot be decoded (", e.what(), "); replace or remove the file"));
  }
  if (heap.system_refused())
    throw SystemError(str(name, ": no memory is left to decode ", outline.width, " x ",
                          outline.height, " pixels; use fewer workers or close other programs"));
  CHECK(decoded, name, ": cannot be decoded (", stbi_failure_reason(),
        "); replace or remove the file");
  CHECK(width == outline.width && height == outline.height, name,
        ": claims two sizes; replace or remove the file");
  use(decoded);
}

Image decode_image(const uint8_t* bytes, size_t n, const std::string& file) {
  const std::string name = printable(file);
  check_file_size(n, name);
  const Outline outline = outline_of(bytes, n, name);
  const int64_t pixels = outline.width * outline.height;
  Image image{outline.width, outline.height, {}};
  // A JPEG's colours are converted by SIMD when there are four channels, and one by one when there
  // are three: so take four and drop the last.
  decode_pixels(bytes, n, outline, outline.jpeg ? 4 : 3, name, [&](const uint8_t* decoded) {
    if (outline.jpeg)
      drop_fourth(decoded, pixels, image.rgb);
    else
      image.rgb.assign(decoded, decoded + pixels * 3);
  });
  return image;
}

Image read_image(const std::string& path) {
  const InputFile file(path);
  check_file_size(file.size(), printable(path));
  const std::vector<uint8_t> bytes = file.read(file.size(), 0);
  return decode_image(bytes.data(), bytes.size(), path);
}

}  // namespace rmt::data
