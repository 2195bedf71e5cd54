#include "data/images/structure.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/error.h"
#include "core/files/crc32.h"

namespace rmt::data {
namespace {

constexpr int64_t kMaxSide = 16384;
#ifdef RMT_FUZZ
constexpr int64_t kMaxPixels = 1 << 18;  // a fuzzer that decodes large pictures sees few
constexpr int64_t kMaxVisits = 1 << 18;
#else
constexpr int64_t kMaxPixels = 100'000'000;
constexpr int64_t kMaxVisits = int64_t(1) << 26;  // 10 to 300 ns each
#endif

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

// Walks the segments of a JPEG from SOI to EOI (T.81, B.1.1). What follows EOI is ignored, as
// everywhere.
class JpegWalk {
 public:
  JpegWalk(Encoded in, const std::string& name) : in_(in), name_(name) {}

  Outline walk() {
    for (size_t at = 2;;) {
      const uint8_t marker = next_marker(at);
      if (marker == 0xD9) break;  // EOI
      // No length follows an escaped FF of a scan (0), TEM (1), RSTn (D0 to D7) and SOI (D8).
      if (marker == 0 || marker == 1 || (marker >= 0xD0 && marker <= 0xD8)) continue;
      if (!in_.has(at, 2)) truncated(name_, "end-of-image marker");
      const size_t length = in_.big_endian(at, 2);
      if (!in_.has(at, length)) truncated(name_, "end-of-image marker");
      if (length < 2) refuse("broken JPEG segment");
      // SOFn, C0 to CF less the three that mean something else: DHT, JPG and DAC.
      if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC)
        frame(marker, at, length);
      if (marker == 0xC4) check_huffman_tables(at + 2, at + length);
      if (marker == 0xDA) scan(at, length);  // SOS
      at += length;
    }
    if (components_ == 0 || scans_ == 0)
      refuse(str("a JPEG without ", components_ ? "image data" : "a frame header"));
    for (size_t c = 0; c < components_; ++c)
      if (!component_[c].seen) refuse("a JPEG that lacks a part of its colours");
    outline_.jpeg = true;
    // A plane of bytes each, progressive coefficients of two bytes, and four bytes as the result.
    outline_.decoder_bytes = int64_t(components_) * (progressive_ ? 3 : 1) + 4;
    return outline_;
  }

 private:
  struct Component {
    uint8_t id = 0;
    int64_t h = 1, v = 1;  // sampling factors, 1 ... 4
    bool seen = false;     // its DC coefficients have had a scan
  };

  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(str(name_, ": ", what, "; replace or remove the file"));
  }

  // Moves `at` behind the next marker and returns it. After SOS the search runs through the
  // entropy-coded data.
  uint8_t next_marker(size_t& at) const {
    for (;;) {
      auto* ff = at < in_.n
                     ? static_cast<const uint8_t*>(std::memchr(in_.data + at, 0xFF, in_.n - at))
                     : nullptr;
      if (!ff) truncated(name_, "end-of-image marker");
      at = size_t(ff - in_.data) + 1;
      if (!in_.has(at, 1)) truncated(name_, "end-of-image marker");
      if (in_.data[at] != 0xFF) return in_.data[at++];  // else a fill byte
    }
  }

  void frame(uint8_t marker, size_t at, size_t length) {
    if (length < 8 || components_ > 0) refuse("broken JPEG frame header");
    outline_.height = in_.big_endian(at + 3, 2);
    outline_.width = in_.big_endian(at + 5, 2);
    check_size(outline_.width, outline_.height, name_);
    components_ = in_.data[at + 7];
    if (components_ < 1 || components_ > 4 || length != 8 + 3 * components_)
      refuse("broken JPEG frame header");
    progressive_ = marker == 0xC2;
    const uint8_t* p = in_.data + at + 8;  // three bytes each: identifier, factors, table
    for (size_t c = 0; c < component_.size() && c < components_; ++c, p += 3) {
      const int h = p[1] >> 4, v = p[1] & 15;
      if (h < 1 || h > 4 || v < 1 || v > 4) refuse("broken JPEG frame header");
      component_[c] = {p[0], h, v, false};
      h_most_ = std::max<int64_t>(h_most_, h);
      v_most_ = std::max<int64_t>(v_most_, v);
    }
  }

  // The header of a scan: its components, then which coefficients of each block it brings.
  void scan(size_t at, size_t length) {
    const size_t count = length >= 3 ? in_.data[at + 2] : 0;
    if (count < 1 || count > 4 || length != 6 + 2 * count || components_ == 0)
      refuse("broken JPEG scan header");
    const bool dc = in_.data[at + 3 + 2 * count] == 0;
    int64_t blocks = 0;
    for (size_t i = 0; i < count; ++i) {
      auto end = component_.begin() + std::ptrdiff_t(components_);
      auto c = std::find_if(component_.begin(), end,
                            [&](const Component& x) { return x.id == in_.data[at + 3 + 2 * i]; });
      if (c == end) refuse("broken JPEG scan header");
      if (!dc && !c->seen) refuse("a JPEG with its scans in disorder");
      c->seen = true;
      blocks += blocks_of(*c, count > 1);
    }
    visits_ += blocks;
    ++scans_;
    if (scans_ > (progressive_ ? 256 : 4) || visits_ > kMaxVisits)
      throw Error(str(name_, ": ", scans_, " scans in ", progressive_ ? "one" : "a baseline",
                      " JPEG of ", outline_.width, " x ", outline_.height,
                      " pixels, which no camera or editor writes; save it again or remove it"));
    // A Huffman code has a bit at least. A baseline block has two of them, the first scan of its DC
    // coefficient one and each refinement a bit; a thousand blocks without AC coefficients may
    // share a code.
    const int64_t bits = !progressive_ ? 2 * blocks : dc ? blocks : 0;
    if (int64_t(scan_bytes(at + length)) < bits / 8) truncated(name_, "data for all of its pixels");
  }

  // In an interleaved scan the blocks fill whole units of h_most x v_most blocks.
  int64_t blocks_of(const Component& c, bool interleaved) const {
    auto up = [](int64_t x, int64_t unit) { return (x + unit - 1) / unit; };
    if (interleaved)
      return up(outline_.width, 8 * h_most_) * up(outline_.height, 8 * v_most_) * c.h * c.v;
    return up(up(outline_.width * c.h, h_most_), 8) * up(up(outline_.height * c.v, v_most_), 8);
  }

  // The bytes from `at` to the next marker that is neither an escaped FF nor RSTn.
  size_t scan_bytes(size_t at) const {
    size_t end = at;
    for (uint8_t marker = 0; marker == 0 || (marker >= 0xD0 && marker <= 0xD7);)
      marker = next_marker(end);
    return end - at;
  }

  // stb_image before 2.28 writes past its arrays when the counts of a Huffman table (16 bytes after
  // its identifier, then one byte a symbol) exceed 256.
  void check_huffman_tables(size_t begin, size_t end) const {
    for (size_t at = begin; at < end;) {
      size_t symbols = 0;
      for (size_t i = 1; i <= 16 && at + i < end; ++i) symbols += in_.data[at + i];
      at += 17 + symbols;
      if (symbols > 256 || at > end) refuse("broken Huffman table");
    }
  }

  Encoded in_;
  const std::string& name_;
  Outline outline_;
  bool progressive_ = false;
  int scans_ = 0;
  size_t components_ = 0;
  std::array<Component, 4> component_;
  int64_t h_most_ = 1, v_most_ = 1, visits_ = 0;  // visits: of blocks, by all scans
};

// Walks the chunks from IHDR to IEND (PNG specification, 5.3): length, type, data, and the CRC of
// type and data.
Outline walk_png(Encoded in, const std::string& name) {
  if (!in.has(8, 25)) truncated(name, "IHDR chunk");
  CHECK(in.big_endian(8, 4) == 13 && std::memcmp(in.data + 12, "IHDR", 4) == 0, name,
        ": a PNG that does not begin with its header; replace or remove the file");
  const Outline outline{false, in.big_endian(16, 4), in.big_endian(20, 4),
                        // stb_image holds three copies as it unpacks: RGBA of this depth at most
                        3 * 4 * (in.data[24] > 8 ? 2 : 1)};
  check_size(outline.width, outline.height, name);
  uint64_t compressed = 0;
  for (size_t at = 8;;) {
    if (!in.has(at, 12)) truncated(name, "IEND chunk");
    const size_t length = in.big_endian(at, 4);
    if (!in.has(at + 12, length)) truncated(name, "IEND chunk");
    const uint8_t* type = in.data + at + 4;
    CHECK(crc32(type, length + 4) == in.big_endian(at + 8 + length, 4), name, ": the checksum of ",
          std::memcmp(type, "IDAT", 4) == 0 ? "its image data" : "one of its chunks",
          " is wrong; the file is damaged, copy or download it again, or remove it");
    if (std::memcmp(type, "IDAT", 4) == 0) compressed += length;
    if (std::memcmp(type, "IEND", 4) == 0) break;
    at += 12 + length;
  }
  // A byte of a deflate stream becomes 1032 at most: a repetition of 258 bytes takes two bits.
  const uint64_t bits = uint64_t(outline.width * outline.height) * in.data[24];  // a channel's
  if (compressed * 1032 < bits / 8) truncated(name, "data for all of its pixels");
  return outline;
}

}  // namespace

Outline outline_of(const uint8_t* bytes, size_t n, const std::string& name) {
  const Encoded in{bytes, n};
  auto begins = [&](const char* s, size_t count) {
    return n >= count && std::memcmp(bytes, s, count) == 0;
  };
  CHECK(n > 0, name, ": the file is empty (0 bytes); copy or download it again, or remove it");
  if (begins("\xFF\xD8", 2)) return JpegWalk(in, name).walk();
  if (begins("\x89PNG\r\n\x1A\n", 8)) return walk_png(in, name);
  const char* known = begins("GIF8", 4)   ? "a GIF image"
                      : begins("BM", 2)   ? "a BMP image"
                      : begins("RIFF", 4) ? "a WebP image"
                      : begins("II*", 3)  ? "a TIFF image"
                                          : nullptr;
  throw Error(str(name, ": ", known ? known : "no image",
                  ", neither JPEG nor PNG by its first bytes; convert it or remove it"));
}

}  // namespace rmt::data
