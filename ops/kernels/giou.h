// The generalized IoU of a decoded box with its target, and the derivatives by the deltas, for CPU
// and GPU; in double, since there are few boxes. giou_loss.cpp has the formulas. Internal to ops/.
#pragma once
#include <cmath>

#include "core/dtype.h"

namespace rmt {

struct BoxStds {
  double of[4];
};

// One axis of a box, from p to q, of its prior, and of its target, from u to v.
struct BoxSide {
  double prior, p, q, u, v;
  double common, around;  // the lengths of what both have in common, and of the least around both
  bool clamped;

  HD BoxSide(double prior_begin, double prior_end, double u_, double v_, double shift,
             double stretch)
      : prior(prior_end - prior_begin), u(u_), v(v_) {
    const double limit = 4.135166556742356;  // log(1000 / 16)
    clamped = stretch < -limit || stretch > limit;
    const double length = prior * ::exp(stretch < -limit  ? -limit
                                        : stretch > limit ? limit
                                                          : stretch);
    const double middle = (prior_begin + prior_end) / 2 + prior * shift;
    p = middle - length / 2;
    q = middle + length / 2;
    common = (q < v ? q : v) - (p > u ? p : u);
    around = (q > v ? q : v) - (p < u ? p : u);
  }
  HD double length() const { return q - p; }
  HD double overlap() const { return common > 0 ? common : 0; }
  // Of a maximum or minimum by its one side: 1, 0, or at a tie a half.
  HD static double share(double more) { return more > 0 ? 1 : more < 0 ? 0 : 0.5; }

  // The derivatives of the loss by the shift and the stretch of this axis, given those by the
  // lengths overlap(), length() and around.
  HD void slopes(double by_overlap, double by_length, double by_around, double* by_shift,
                 double* by_stretch) const {
    if (common < 0) by_overlap = 0;
    const double by_q = by_overlap * share(v - q) + by_length + by_around * share(q - v),
                 by_p = -(by_overlap * share(p - u) + by_length + by_around * share(u - p));
    *by_shift = (by_p + by_q) * prior;
    *by_stretch = clamped ? 0 : (by_q - by_p) / 2 * length();
  }
};

struct Giou {
  double loss, slopes[4];  // 1 - GIoU, and its derivatives by the deltas

  template <class T, class W>
  HD Giou(const T* deltas, const W* box, const W* target, const BoxStds& stds) {
    double d[4];
    for (int i = 0; i < 4; ++i) d[i] = double(W(deltas[i])) * stds.of[i];
    const BoxSide x(box[0], box[2], target[0], target[2], d[0], d[2]),
        y(box[1], box[3], target[1], target[3], d[1], d[3]);
    constexpr double eps = 1e-6;
    const double I = x.overlap() * y.overlap(),
                 area = x.length() * y.length() + (x.v - x.u) * (y.v - y.u) - I,
                 around = x.around * y.around, U = area > eps ? area : eps,
                 E = around > eps ? around : eps;
    loss = 2 - I / U - U / E;
    const double by_area = area > eps ? I / (U * U) - 1 / E : 0, by_I = -1 / U - by_area,
                 by_E = around > eps ? U / (E * E) : 0;
    x.slopes(by_I * y.overlap(), by_area * y.length(), by_E * y.around, &slopes[0], &slopes[2]);
    y.slopes(by_I * x.overlap(), by_area * x.length(), by_E * x.around, &slopes[1], &slopes[3]);
    for (int i = 0; i < 4; ++i) slopes[i] *= stds.of[i];
  }
};

}  // namespace rmt
