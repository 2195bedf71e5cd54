#include "data/masks/run_lengths.h"

#include <algorithm>

#include "core/error.h"
#include "data/masks/runs.h"

namespace rmt::data {
namespace {

// Calls piece(a is 1, b is 1, pixels) for the pieces in which neither changes, in order.
template <class F>
void walk_both(const RunLengths& a, const RunLengths& b, const F& piece) {
  CHECK(a.width == b.width && a.height == b.height, "a mask of ", a.width, " x ", a.height,
        " pixels and one of ", b.width, " x ", b.height, "; both must be of one image's size");
  size_t i = 0, j = 0;
  uint32_t left_a = a.counts[0], left_b = b.counts[0];
  while (true) {
    while (left_a == 0 && i + 1 < a.counts.size()) left_a = a.counts[++i];
    while (left_b == 0 && j + 1 < b.counts.size()) left_b = b.counts[++j];
    const uint32_t pixels = std::min(left_a, left_b);
    if (pixels == 0) return;
    piece(i % 2 == 1, j % 2 == 1, pixels);
    left_a -= pixels;
    left_b -= pixels;
  }
}

// The next number of the text from `at` on, which it moves behind it.
int64_t next_number(std::string_view text, size_t& at) {
  constexpr int kMostDigits = 7;  // 35 bits: more than a run's length or a difference of two
  int64_t number = 0;
  for (int digit = 0;; ++digit, ++at) {
    CHECK(at < text.size(), "a mask's string ends in the middle of a number");
    const int bits = text[at] - '0';
    CHECK(bits >= 0 && bits < 64, "a mask's string has the byte ", int(uint8_t(text[at])),
          " at place ", at, "; its characters are '0' to 'o'");
    CHECK(digit < kMostDigits, "a mask's string has a number of more than 7 characters at place ",
          at);
    number |= int64_t(bits & 31) << 5 * digit;
    if (bits & 32) continue;
    if (bits & 16) number -= int64_t(1) << 5 * (digit + 1);  // the sign
    ++at;
    return number;
  }
}

}  // namespace

void check_mask_size(int64_t width, int64_t height) {
  constexpr int64_t kMostSide = 16384, kMostPixels = 100'000'000;
  CHECK(width > 0 && height > 0 && width <= kMostSide && height <= kMostSide &&
            width * height <= kMostPixels,
        "a mask of ", width, " x ", height,
        " pixels; a side has 1 to 16384, and all of it 100 million at most");
}

void check_mask(const RunLengths& mask) {
  check_mask_size(mask.width, mask.height);
  uint64_t sum = 0;
  for (const uint32_t n : mask.counts) sum += n;
  CHECK(sum == uint64_t(mask.width * mask.height), "a mask's runs have ", sum, " pixels in all; ",
        mask.width, " x ", mask.height, " are ", mask.width * mask.height);
}

RunLengths from_counts(const std::vector<int64_t>& counts, int64_t width, int64_t height) {
  check_mask_size(width, height);
  RunWriter runs(width, height);
  for (size_t i = 0; i < counts.size(); ++i) {
    CHECK(counts[i] >= 0 && counts[i] <= width * height, "run ", i, " of a mask has ", counts[i],
          " pixels; ", width, " x ", height, " are ", width * height);
    runs.add(i % 2 == 1, counts[i]);
  }
  return runs.finish();
}

std::string to_text(const RunLengths& mask) {
  std::string text;
  for (size_t i = 0; i < mask.counts.size(); ++i) {
    int64_t rest = mask.counts[i];
    if (i > 2) rest -= mask.counts[i - 2];
    for (bool more = true; more;) {
      const int64_t bits = rest & 31;
      rest >>= 5;
      more = rest != (bits & 16 ? -1 : 0);  // the sign would not say the rest
      text += char('0' + (bits | (more ? 32 : 0)));
    }
  }
  return text;
}

RunLengths from_text(std::string_view text, int64_t width, int64_t height) {
  check_mask_size(width, height);
  std::vector<int64_t> counts;
  for (size_t at = 0; at < text.size();) {
    int64_t n = next_number(text, at);
    if (counts.size() > 2) n += counts[counts.size() - 2];
    CHECK(n >= 0 && n <= width * height, "run ", counts.size(), " of a mask's string has ", n,
          " pixels; ", width, " x ", height, " are ", width * height);
    counts.push_back(n);
  }
  return from_counts(counts, width, height);
}

Bitmap to_bitmap(const RunLengths& mask) {
  check_mask(mask);
  Bitmap out{mask.width, mask.height, std::vector<uint8_t>(size_t(mask.width * mask.height))};
  int64_t x = 0, y = 0;
  for (size_t i = 0; i < mask.counts.size(); ++i)
    for (int64_t left = mask.counts[i]; left > 0;) {
      const int64_t end = std::min(y + left, mask.height);
      if (i % 2 == 1)
        for (int64_t row = y; row < end; ++row) out.on[size_t(row * mask.width + x)] = 1;
      left -= end - y;
      y = end;
      if (y == mask.height) ++x, y = 0;
    }
  return out;
}

RunLengths runs_of(const Bitmap& mask) {
  check_mask_size(mask.width, mask.height);
  CHECK(int64_t(mask.on.size()) == mask.width * mask.height, "a bitmap of ", mask.on.size(),
        " bytes is not one of ", mask.width, " x ", mask.height, " pixels");
  RunWriter runs(mask.width, mask.height);
  for (int64_t x = 0; x < mask.width; ++x)
    for (int64_t y = 0; y < mask.height; ++y) runs.add(mask.on[size_t(y * mask.width + x)] != 0, 1);
  return runs.finish();
}

int64_t area(const RunLengths& mask) {
  int64_t sum = 0;
  for (size_t i = 1; i < mask.counts.size(); i += 2) sum += mask.counts[i];
  return sum;
}

std::array<int64_t, 4> box_of(const RunLengths& mask) {
  int64_t x1 = mask.width, y1 = mask.height, x2 = -1, y2 = -1, at = 0;
  for (size_t i = 0; i < mask.counts.size(); at += mask.counts[i++]) {
    if (i % 2 == 0 || mask.counts[i] == 0) continue;
    const int64_t last = at + mask.counts[i] - 1;
    const bool one_column = at / mask.height == last / mask.height;
    x1 = std::min(x1, at / mask.height);
    x2 = last / mask.height;
    y1 = one_column ? std::min(y1, at % mask.height) : 0;
    y2 = one_column ? std::max(y2, last % mask.height) : mask.height - 1;
  }
  if (x2 < 0) return {0, 0, 0, 0};
  return {x1, y1, x2 - x1 + 1, y2 - y1 + 1};
}

RunLengths merge(const std::vector<RunLengths>& masks, Merge how) {
  CHECK(!masks.empty(), "merge: no masks; the empty union has no size");
  RunLengths all = masks[0];
  for (size_t i = 1; i < masks.size(); ++i) {
    RunWriter runs(all.width, all.height);
    walk_both(all, masks[i], [&](bool a, bool b, uint32_t pixels) {
      runs.add(how == Merge::kUnion ? a || b : a && b, pixels);
    });
    all = runs.finish();
  }
  return all;
}

double iou(const RunLengths& detection, const RunLengths& truth, bool crowd) {
  int64_t both = 0, either = 0;
  walk_both(detection, truth, [&](bool a, bool b, uint32_t pixels) {
    both += a && b ? pixels : 0;
    either += a || b ? pixels : 0;
  });
  if (both == 0) return 0;
  return double(both) / double(crowd ? area(detection) : either);
}

}  // namespace rmt::data
