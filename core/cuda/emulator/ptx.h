// The emulated bodies of core/cuda/ptx.h, which says what each one means and draws which lane holds
// what. They check what the hardware takes for granted: that the whole warp calls, that addresses
// are aligned and lie in one array of shared memory. A copy is made when it is waited for, and
// until then its destination is NaN, so that a missing wait is seen.
#pragma once
#include <bit>
#include <vector>

#include "core/cuda/emulator/emulator.h"
#include "core/dtype.h"

namespace rmt::ptx {

using emulator::Site;

inline void expect_whole_warp(const char* what, void* const (&record)[32]) {
  for (int i = 0; i < 32; ++i)
    if (!record[i])
      emulator::fail(std::string(what) + " needs all 32 lanes of the warp; lane " +
                     std::to_string(i) + " is not there");
}

inline void expect_shared(const char* what, const void* p) {
  char address[32];
  std::snprintf(address, sizeof address, "%p", p);
  if (!emulator::in_shared(p, 16))
    emulator::fail(std::string(what) + ": the 16 bytes at " + address +
                   " do not lie in one array of shared memory");
  if (uintptr_t(p) % 16)
    emulator::fail(std::string(what) + ": the address " + address + " is not a multiple of 16");
}

// Number i (0 or 1) of the two bf16 in a register.
inline float half_of(uint32_t r, int i) {
  return std::bit_cast<float>(i ? r & 0xffff0000u : r << 16);
}

// Where the drawings in core/cuda/ptx.h have the two halves of lane `lane`'s register r of a and of
// b, and its number d[r].
struct Place {
  int row, column;
};
inline Place place_in_a(int lane, int r, int half) {
  return {lane / 4 + r % 2 * 8, lane % 4 * 2 + half + r / 2 * 8};
}
inline Place place_in_b(int lane, int r, int half) {
  return {lane % 4 * 2 + half + r * 8, lane / 4};
}
inline Place place_in_d(int lane, int r) { return {lane / 4 + r / 2 * 8, lane % 4 * 2 + r % 2}; }

// What a lane brings to a product.
struct Fragments {
  float* d;
  const uint32_t *a, *b;
};

// d += a b: collects both matrices from the lanes, then gives each lane its four sums. Products of
// bf16 are exact in f32; the hardware adds them in an order and with a rounding of its own, here it
// is one after the other.
inline void multiply_fragments(void* const (&record)[32]) {
  expect_whole_warp("mma_m16n8k16", record);
  float a[16][16], b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const Fragments& own = *static_cast<const Fragments*>(record[lane]);
    for (int half = 0; half < 2; ++half) {
      for (int r = 0; r < 4; ++r) {
        const Place at = place_in_a(lane, r, half);
        a[at.row][at.column] = half_of(own.a[r], half);
      }
      for (int r = 0; r < 2; ++r) {
        const Place at = place_in_b(lane, r, half);
        b[at.row][at.column] = half_of(own.b[r], half);
      }
    }
  }
  for (int lane = 0; lane < 32; ++lane)
    for (int r = 0; r < 4; ++r) {
      const Place at = place_in_d(lane, r);
      float& sum = static_cast<const Fragments*>(record[lane])->d[r];
      for (int k = 0; k < 16; ++k) sum += a[at.row][k] * b[k][at.column];
    }
}

inline void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                         Site at = Site::current()) {
  Fragments mine{d, a, b};
  emulator::collective("mma_m16n8k16", ~0u, multiply_fragments, &mine, at);
}
// d = c + a b.
inline void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                         const float (&c)[4], Site at = Site::current()) {
  std::memmove(d, c, sizeof d);
  mma_m16n8k16(d, a, b, at);
}

// What a lane brings to ldmatrix: where its registers go, and the row that it points to.
struct Rows {
  uint32_t* r;
  const void* row;
};

// Register r[m] of each lane: two neighbours of matrix m, as the drawings have a[0].
template <int matrices, bool transposed>
void load_matrices(void* const (&record)[32]) {
  expect_whole_warp("ldmatrix", record);
  for (int m = 0; m < matrices; ++m) {
    uint16_t matrix[8][8];
    for (int j = 0; j < 8; ++j)
      std::memcpy(matrix[j], static_cast<const Rows*>(record[8 * m + j])->row, 16);
    for (int lane = 0; lane < 32; ++lane) {
      const int g = lane / 4, t = lane % 4;
      const uint16_t low = transposed ? matrix[2 * t][g] : matrix[g][2 * t];
      const uint16_t high = transposed ? matrix[2 * t + 1][g] : matrix[g][2 * t + 1];
      static_cast<const Rows*>(record[lane])->r[m] = low | uint32_t(high) << 16;
    }
  }
}

template <int matrices, bool transposed>
void ldmatrix(const char* what, uint32_t* r, const void* row, const Site& at) {
  Rows mine{r, row};
  if (emulator::lane_index() < 8 * matrices) expect_shared(what, row);
  emulator::collective(what, ~0u, load_matrices<matrices, transposed>, &mine, at);
}

inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, Site at = Site::current()) {
  ldmatrix<4, false>("ldmatrix_x4", r, row, at);
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, Site at = Site::current()) {
  ldmatrix<4, true>("ldmatrix_x4_trans", r, row, at);
}
inline void ldmatrix_x2(uint32_t (&r)[2], const void* row, Site at = Site::current()) {
  ldmatrix<2, false>("ldmatrix_x2", r, row, at);
}
inline void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row, Site at = Site::current()) {
  ldmatrix<2, true>("ldmatrix_x2_trans", r, row, at);
}

// What a lane brings to movmatrix: its part of the matrix, and then of the transposed one.
struct Part {
  uint32_t x, y;
};

inline void transpose_matrix(void* const (&record)[32]) {
  expect_whole_warp("movmatrix_trans", record);
  uint16_t matrix[8][8];
  for (int lane = 0; lane < 32; ++lane) {
    const uint32_t x = static_cast<const Part*>(record[lane])->x;
    matrix[lane / 4][lane % 4 * 2] = uint16_t(x);
    matrix[lane / 4][lane % 4 * 2 + 1] = uint16_t(x >> 16);
  }
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    static_cast<Part*>(record[lane])->y = matrix[2 * t][g] | uint32_t(matrix[2 * t + 1][g]) << 16;
  }
}

inline uint32_t movmatrix_trans(uint32_t x, Site at = Site::current()) {
  Part mine{x, 0};
  emulator::collective("movmatrix_trans", ~0u, transpose_matrix, &mine, at);
  return mine.y;
}

// The copies that a thread has under way.
struct Copies {
  struct Copy {
    void* to;
    const void* from;  // null: zeros
  };
  int64_t block = -1;                     // block_serial() of the block that they belong to
  std::vector<std::vector<Copy>> groups;  // oldest first
  std::vector<Copy> open;                 // not committed
};

// The running thread's.
inline Copies& copies() {
  static std::vector<Copies> of_thread(1024);
  Copies& c = of_thread[emulator::thread_index()];
  // What an earlier block did not wait for is lost.
  if (c.block != emulator::block_serial()) c = {emulator::block_serial(), {}, {}};
  return c;
}

inline void cp_async_16(void* to, const void* from, bool valid = true) {
  expect_shared("cp_async_16", to);
  if (valid && uintptr_t(from) % 16)
    emulator::fail("cp_async_16: the source's address is not a multiple of 16");
  std::memset(to, 0xff, 16);
  copies().open.push_back({to, valid ? from : nullptr});
}

inline void cp_async_commit() {
  Copies& c = copies();
  c.groups.push_back(std::exchange(c.open, {}));
}

template <int n>
void cp_async_wait() {
  Copies& c = copies();
  while (int(c.groups.size()) > n) {
    for (const Copies::Copy& copy : c.groups.front())
      copy.from ? std::memcpy(copy.to, copy.from, 16) : std::memset(copy.to, 0, 16);
    c.groups.erase(c.groups.begin());
  }
}

inline int anew(int x) { return x; }

inline uint32_t pack_bf16(float low, float high) {
  return bf16(low).bits | uint32_t(bf16(high).bits) << 16;
}
// A sum of two bf16 is exact in f32, or so near to one of them that both roundings give that one.
inline uint32_t add_bf16(uint32_t a, uint32_t b) {
  return pack_bf16(half_of(a, 0) + half_of(b, 0), half_of(a, 1) + half_of(b, 1));
}
inline float exp2_approx(float x) { return exp2f(x) < 0x1p-126f ? 0 : exp2f(x); }
inline float log2_approx(float x) { return log2f(std::fabs(x) < 0x1p-126f ? 0 : x); }
inline float reciprocal_approx(float x) { return std::fabs(1 / x) < 0x1p-126f ? 0 : 1 / x; }

}  // namespace rmt::ptx
