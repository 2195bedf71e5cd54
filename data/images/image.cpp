// Decoding. stb_image is small but was not written for hostile input, and the version that systems
// ship may lack its latest fixes. So a file is first walked by its own structure (is it JPEG or
// PNG, what size does it claim, does it end where it says it ends), and stb_image then runs with
// only these two formats compiled in and with every allocation taken from a budget that the claimed
// size sets.
#include "data/images/image.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "core/files/input_file.h"

namespace rmt::data {
namespace {

constexpr int64_t kMaxSide = 16384;
#ifdef RMT_FUZZ
constexpr int64_t kMaxPixels = 1 << 18;  // a fuzzer that decodes large pictures sees few
#else
constexpr int64_t kMaxPixels = 100'000'000;
#endif

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
    if (!block) return nullptr;
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

  static thread_local DecoderMemory* current;

 private:
  struct alignas(16) Block {
    Block *next, *previous;
    size_t bytes;
  };
  size_t limit_, used_ = 0;
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

// A file's bytes. has(): do `count` of them lie at `at`? A length that a file claims may be false.
struct Encoded {
  const uint8_t* data;
  size_t n;
  bool has(size_t at, size_t count) const { return at <= n && count <= n - at; }
  uint32_t big_endian(size_t at, int count) const {
    uint32_t x = 0;
    for (int i = 0; i < count; ++i) x = x << 8 | data[at + size_t(i)];
    return x;
  }
};

void check_file_size(size_t bytes, const std::string& name) {
  CHECK(bytes <= kMaxImageFile, name, ": ", bytes,
        " bytes, more than the 64 MiB that an image file may have; scale it down or remove it");
}

void check_size(int64_t width, int64_t height, const std::string& name) {
  CHECK(width > 0 && height > 0, name, ": claims ", width, " x ", height,
        " pixels; replace the file");
  CHECK(width <= kMaxSide && height <= kMaxSide && width * height <= kMaxPixels, name, ": claims ",
        width, " x ", height, " pixels, more than ", kMaxSide,
        " a side or 100 million in all; scale it down or remove it");
}

[[noreturn]] void truncated(const std::string& name, const char* end) {
  throw Error(str(name, ": the file ends before the image does (no ", end,
                  "), it was cut short; copy or download it again, or remove it"));
}

// stb_image before 2.28 writes past its arrays when the counts of a Huffman table (16 bytes after
// its identifier, then one byte a symbol) exceed 256.
void check_huffman_tables(Encoded in, size_t begin, size_t end, const std::string& name) {
  for (size_t at = begin; at < end;) {
    size_t symbols = 0;
    for (size_t i = 1; i <= 16 && at + i < end; ++i) symbols += in.data[at + i];
    at += 17 + symbols;
    CHECK(symbols <= 256 && at <= end, name, ": broken Huffman table; replace or remove the file");
  }
}

// Walks the segments from SOI to EOI (ITU T.81, B.1.1): checks the frame's size, and that EOI is
// there. What follows EOI is ignored, as everywhere.
void check_jpeg(Encoded in, const std::string& name) {
  int frames = 0, scans = 0;
  for (size_t at = 2;;) {
    auto* ff = at < in.n ? static_cast<const uint8_t*>(std::memchr(in.data + at, 0xFF, in.n - at))
                         : nullptr;
    if (!ff) truncated(name, "end-of-image marker");
    at = size_t(ff - in.data) + 1;
    if (!in.has(at, 1)) truncated(name, "end-of-image marker");
    uint8_t marker = in.data[at];
    if (marker == 0xFF) continue;  // fill byte
    ++at;
    if (marker == 0xD9) break;  // EOI
    // No length follows an escaped FF of a scan (0), TEM (1), RSTn (D0 to D7) and SOI (D8).
    if (marker == 0 || marker == 1 || (marker >= 0xD0 && marker <= 0xD8)) continue;
    if (!in.has(at, 2)) truncated(name, "end-of-image marker");
    size_t length = in.big_endian(at, 2);
    if (!in.has(at, length)) truncated(name, "end-of-image marker");
    CHECK(length >= 2, name, ": broken JPEG segment; replace or remove the file");
    // SOFn, C0 to CF less the three that mean something else: DHT, JPG and DAC.
    const bool frame_header =
        marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (frame_header) {
      CHECK(length >= 8 && ++frames == 1, name,
            ": broken JPEG frame header; replace or remove the file");
      check_size(in.big_endian(at + 5, 2), in.big_endian(at + 3, 2), name);
    }
    if (marker == 0xC4) check_huffman_tables(in, at + 2, at + length, name);
    if (marker == 0xDA) ++scans;  // SOS
    CHECK(scans <= 256, name,
          ": more than 256 scans in one JPEG, which no camera or editor writes; remove it");
    // After SOS this is the entropy-coded data: the search for the next marker runs through it.
    at += length;
  }
  CHECK(frames == 1 && scans > 0, name, ": a JPEG without ",
        frames ? "image data" : "a frame header", "; replace or remove the file");
}

// Walks the chunks from IHDR to IEND (PNG specification, 5.3): length, type, data, CRC.
void check_png(Encoded in, const std::string& name) {
  if (!in.has(8, 25)) truncated(name, "IHDR chunk");
  CHECK(std::memcmp(in.data + 12, "IHDR", 4) == 0, name,
        ": a PNG that does not begin with its header; replace or remove the file");
  check_size(in.big_endian(16, 4), in.big_endian(20, 4), name);
  for (size_t at = 8;;) {
    if (!in.has(at, 12)) truncated(name, "IEND chunk");
    size_t length = in.big_endian(at, 4);
    if (!in.has(at + 12, length)) truncated(name, "IEND chunk");
    if (std::memcmp(in.data + at + 4, "IEND", 4) == 0) return;
    at += 12 + length;
  }
}

void check_structure(Encoded in, const std::string& name) {
  auto begins = [&](const char* s, size_t count) {
    return in.n >= count && std::memcmp(in.data, s, count) == 0;
  };
  CHECK(in.n > 0, name, ": the file is empty (0 bytes); copy or download it again, or remove it");
  if (begins("\xFF\xD8", 2)) return check_jpeg(in, name);
  if (begins("\x89PNG\r\n\x1A\n", 8)) return check_png(in, name);
  const char* known = begins("GIF8", 4)   ? "a GIF image"
                      : begins("BM", 2)   ? "a BMP image"
                      : begins("RIFF", 4) ? "a WebP image"
                      : begins("II*", 3)  ? "a TIFF image"
                                          : nullptr;
  throw Error(str(name, ": ", known ? known : "no image",
                  ", neither JPEG nor PNG by its first bytes; convert it or remove it"));
}

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

Image decode_image(const uint8_t* bytes, size_t n, const std::string& name) {
  check_file_size(n, name);
  check_structure({bytes, n}, name);
  int width = 0, height = 0, channels = 0;
  DecoderMemory probe(1 << 20);
  CHECK(stbi_info_from_memory(bytes, int(n), &width, &height, &channels), name,
        ": cannot be decoded (", stbi_failure_reason(), "); replace or remove the file");
  check_size(width, height, name);
  // What stb_image needs at most: twice 8 bytes a pixel on the compressed side (16-bit RGBA, or
  // progressive coefficients) and its results, for which 24 bytes a pixel and some room suffice.
  DecoderMemory heap((size_t(16) << 20) + 2 * n + size_t(width) * size_t(height) * 24);
  // A JPEG's colours are converted by SIMD when there are four channels, and one by one when there
  // are three: so take four and drop the last.
  const bool jpeg = bytes[0] == 0xFF;
  const stbi_uc* pixels = nullptr;  // in the heap, which frees it
  try {
    pixels = stbi_load_from_memory(bytes, int(n), &width, &height, &channels, jpeg ? 4 : 3);
  } catch (const Error& e) {
    throw Error(str(name, ": cannot be decoded (", e.what(), "); replace or remove the file"));
  }
  CHECK(pixels, name, ": cannot be decoded (", stbi_failure_reason(),
        "); replace or remove the file");
  Image image{width, height, {}};
  if (jpeg)
    drop_fourth(pixels, int64_t(width) * height, image.rgb);
  else
    image.rgb.assign(pixels, pixels + size_t(width) * size_t(height) * 3);
  return image;
}

Image read_image(const std::string& path) {
  const InputFile file(path);
  check_file_size(file.size(), path);
  const std::vector<uint8_t> bytes = file.read(file.size(), 0);
  return decode_image(bytes.data(), bytes.size(), path);
}

}  // namespace rmt::data
