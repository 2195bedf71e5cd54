// Manhattan attention as its formulas say it: plain loops in double over the queries i and keys j
// of one head, the L x L matrices written down whole. Nothing here is fast. It is the page to read
// first, the answer that the tests hold the fast kernels against (in tests/ops/attention), and what
// a program calls that wants to look at A itself.
//
// q, k, v, y (B, H, W, C), of which head h has the D = C / heads channels h D ... h D + D - 1. For
// one head of one image, with L = H W positions, position i standing at row i / W, column i % W:
//
//   q'_i = R_i q_i,  k'_j = R_j k_j             R_i: the rotation of position i (rotary.h)
//   S_ij = D^-1/2 q'_i . k'_j                   the scores
//   d_ij = |x_i - x_j| + |y_i - y_j|            the Manhattan distance
//   A    = softmax(S + decay d)                 log_additive
//        = softmax(S) exp(decay d)              post_multiply, element by element
//        = the latter / its row sums            post_multiply_normalised
//   y_i  = sum_j A_ij v_j
//
// Along Axis::W the sums over j, that of softmax too, run over the keys of query i's own row, along
// Axis::H over those of its own column; elsewhere A is 0.
#pragma once
#include <cmath>
#include <cstdlib>
#include <vector>

#include "ops/attention/manhattan_attention.h"

namespace rmt::ops::definition {

using Row = std::vector<double>;
using Matrix = std::vector<Row>;

// --- the parts ---

// Head h of image b: x (B, H, W, C) on the CPU, of any floating-point type -> (L, D).
inline Matrix head_of(const Tensor& x, int64_t heads, int64_t b, int64_t h) {
  const Tensor x64 = x.to(DType::f64);
  const int64_t L = x.dim(1) * x.dim(2), C = x.dim(3), D = C / heads;
  Matrix out(L, Row(D));
  for (int64_t i = 0; i < L; ++i)
    for (int64_t c = 0; c < D; ++c) out[i][c] = x64.data<double>()[(b * L + i) * C + h * D + c];
  return out;
}

// R_i x_i for all positions i of x (L, D): each pair of channels 2c, 2c + 1 is a point in the
// plane, turned by the angle whose cosine and sine are rotary_i,2c and rotary_i,2c+1. direction =
// -1 turns it back. An undefined rotary (L, D) turns nothing.
inline Matrix rotated(const Matrix& x, const Tensor& rotary, double direction = 1) {
  if (!rotary.defined()) return x;
  const Tensor table = rotary.to(DType::f64);
  Matrix out = x;
  for (size_t i = 0; i < x.size(); ++i)
    for (size_t c = 0; c + 1 < x[i].size(); c += 2) {
      const double* angle = table.data<double>() + i * x[i].size() + c;
      const double cosine = angle[0], sine = direction * angle[1];
      out[i][c] = x[i][c] * cosine - x[i][c + 1] * sine;
      out[i][c + 1] = x[i][c] * sine + x[i][c + 1] * cosine;
    }
  return out;
}

inline double dot(const Row& a, const Row& b) {
  double sum = 0;
  for (size_t c = 0; c < a.size(); ++c) sum += a[c] * b[c];
  return sum;
}

// The keys that query i attends to: its line.
inline std::vector<int64_t> keys_of(int64_t i, int64_t H, int64_t W, Axis axis) {
  std::vector<int64_t> keys;
  for (int64_t j = 0; j < H * W; ++j)
    if (axis == Axis::both || (axis == Axis::W ? i / W == j / W : i % W == j % W))
      keys.push_back(j);
  return keys;
}

inline int64_t manhattan_distance(int64_t i, int64_t j, int64_t W) {
  return std::abs(i % W - j % W) + std::abs(i / W - j / W);
}

// One query's row of each matrix. Numbers that belong to no key of its line are 0.
struct Query {
  std::vector<int64_t> keys;
  Row P;       // the softmax
  Row factor;  // what it is multiplied with: exp(decay d), or 1 where the decay stood in softmax
  double sum;  // what the product is divided by: its row sum, or 1
  Row A;       // A_ij = P_ij factor_ij / sum
};

// One head of one image.
struct Head {
  int64_t H, W;
  double scale, decay;  // D^-1/2, and the log of the factor a step
  Axis axis;
  DecayMode mode;
  Matrix q, k;  // (L, D), rotated

  Head(const Tensor& q_, const Tensor& k_, const Tensor& decay_, const Tensor& rotary,
       const ManhattanOptions& options, int64_t b, int64_t h)
      : H(q_.dim(1)),
        W(q_.dim(2)),
        scale(1 / std::sqrt(double(q_.dim(3) / options.heads))),
        decay(decay_.defined() ? decay_.to(DType::f64).data<double>()[h] : 0),
        axis(options.axis),
        mode(options.mode),
        q(rotated(head_of(q_, options.heads, b, h), rotary)),
        k(rotated(head_of(k_, options.heads, b, h), rotary)) {}

  Query query(int64_t i) const {
    const Row zeros(size_t(H * W));
    Query row{keys_of(i, H, W, axis), zeros, zeros, 1, zeros};
    const bool decay_in_softmax = mode == DecayMode::log_additive;

    double most = -INFINITY;  // softmax(S) = softmax(S - most), which cannot overflow
    for (int64_t j : row.keys) {
      const double log_factor = decay * double(manhattan_distance(i, j, W));
      row.P[j] = scale * dot(q[i], k[j]) + (decay_in_softmax ? log_factor : 0);
      row.factor[j] = decay_in_softmax ? 1 : std::exp(log_factor);
      most = std::max(most, row.P[j]);
    }
    double sum = 0;
    for (int64_t j : row.keys) sum += row.P[j] = std::exp(row.P[j] - most);
    for (int64_t j : row.keys) row.P[j] /= sum;

    if (mode == DecayMode::post_multiply_normalised) row.sum = dot(row.P, row.factor);
    for (int64_t j : row.keys) row.A[j] = row.P[j] * row.factor[j] / row.sum;
    return row;
  }
};

// --- the op, its matrix and its gradient ---

// Row i of A, for head h of image b: how much query i takes from each of the L positions.
inline Row attention_weights(const Tensor& q, const Tensor& k, const Tensor& decay,
                             const Tensor& rotary, const ManhattanOptions& options, int64_t b,
                             int64_t h, int64_t i) {
  return Head(q, k, decay, rotary, options, b, h).query(i).A;
}

// A (L, L) of head h of image b.
inline Matrix attention_weights(const Tensor& q, const Tensor& k, const Tensor& decay,
                                const Tensor& rotary, const ManhattanOptions& options, int64_t b,
                                int64_t h) {
  const Head head(q, k, decay, rotary, options, b, h);
  Matrix A;
  for (int64_t i = 0; i < head.H * head.W; ++i) A.push_back(head.query(i).A);
  return A;
}

// Adds m (L, D) to head h of image b of x (B, H, W, C) f64.
inline void add_to_head(Tensor& x, const Matrix& m, int64_t heads, int64_t b, int64_t h) {
  const int64_t L = x.dim(1) * x.dim(2), C = x.dim(3), D = C / heads;
  for (int64_t i = 0; i < L; ++i)
    for (int64_t c = 0; c < D; ++c) x.data<double>()[(b * L + i) * C + h * D + c] += m[i][c];
}

// y (B, H, W, C) in f64; the arguments are those of ops::manhattan_attention.
inline Tensor manhattan_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const Tensor& decay, const Tensor& rotary,
                                  const ManhattanOptions& options) {
  const int64_t L = q.dim(1) * q.dim(2), D = q.dim(3) / options.heads;
  Tensor y = Tensor::zeros(q.shape(), DType::f64);
  for (int64_t b = 0; b < q.dim(0); ++b)
    for (int64_t h = 0; h < options.heads; ++h) {
      const Head head(q, k, decay, rotary, options, b, h);
      const Matrix v_h = head_of(v, options.heads, b, h);
      Matrix y_h(L, Row(D));
      for (int64_t i = 0; i < L; ++i) {
        const Query row = head.query(i);
        for (int64_t j : row.keys)
          for (int64_t c = 0; c < D; ++c) y_h[i][c] += row.A[j] * v_h[j][c];
      }
      add_to_head(y, y_h, options.heads, b, h);
    }
  return y;
}

// dS of one query from its row of dA, one step of Query after the other, backwards:
//   A = U / sum U   ->  dU = (dA - sum_j A_ij dA_ij) / sum U     only when normalised
//   U = P factor    ->  dP = dU factor
//   P = softmax(S)  ->  dS = P (dP - sum_j P_ij dP_ij)
inline Row score_gradient(const Query& row, const Row& dA, DecayMode mode) {
  Row dP(dA.size()), dS(dA.size());
  const double shift = mode == DecayMode::post_multiply_normalised ? dot(row.A, dA) : 0;
  for (int64_t j : row.keys) dP[j] = (dA[j] - shift) / row.sum * row.factor[j];
  const double mean = dot(row.P, dP);
  for (int64_t j : row.keys) dS[j] = row.P[j] * (dP[j] - mean);
  return dS;
}

struct Gradients {
  Tensor dq, dk, dv;  // (B, H, W, C) f64
};

// From dy (B, H, W, C):
//   dA_ij = dy_i . v_j                         dv_j  = sum_i A_ij dy_i
//   dS from dA, above
//   dq'_i = D^-1/2 sum_j dS_ij k'_j            dk'_j = D^-1/2 sum_i dS_ij q'_i
//   dq_i  = R_i^-1 dq'_i                       dk_j  = R_j^-1 dk'_j
inline Gradients manhattan_attention_gradient(const Tensor& q, const Tensor& k, const Tensor& v,
                                              const Tensor& decay, const Tensor& rotary,
                                              const ManhattanOptions& options, const Tensor& dy) {
  const int64_t L = q.dim(1) * q.dim(2), D = q.dim(3) / options.heads, heads = options.heads;
  const auto zeros = [&] { return Tensor::zeros(q.shape(), DType::f64); };
  Gradients gradients{zeros(), zeros(), zeros()};
  for (int64_t b = 0; b < q.dim(0); ++b)
    for (int64_t h = 0; h < heads; ++h) {
      const Head head(q, k, decay, rotary, options, b, h);
      const Matrix v_h = head_of(v, heads, b, h), dy_h = head_of(dy, heads, b, h);
      Matrix dq_h(L, Row(D)), dk_h(L, Row(D)), dv_h(L, Row(D));
      for (int64_t i = 0; i < L; ++i) {
        const Query row = head.query(i);
        Row dA(L);
        for (int64_t j : row.keys) dA[j] = dot(dy_h[i], v_h[j]);
        const Row dS = score_gradient(row, dA, options.mode);
        for (int64_t j : row.keys)
          for (int64_t c = 0; c < D; ++c) {
            dv_h[j][c] += row.A[j] * dy_h[i][c];
            dq_h[i][c] += head.scale * dS[j] * head.k[j][c];
            dk_h[j][c] += head.scale * dS[j] * head.q[i][c];
          }
      }
      add_to_head(gradients.dq, rotated(dq_h, rotary, -1), heads, b, h);
      add_to_head(gradients.dk, rotated(dk_h, rotary, -1), heads, b, h);
      add_to_head(gradients.dv, dv_h, heads, b, h);
    }
  return gradients;
}

}  // namespace rmt::ops::definition
