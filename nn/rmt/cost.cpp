#include "nn/rmt/cost.h"

namespace rmt::nn {
namespace {

int64_t half(int64_t n) { return (n + 1) / 2; }  // of a convolution of stride 2

// k x k convolution with bias over `pixels` outputs, batch norm behind it; keeps its input and the
// norm's.
Cost conv_norm(int64_t pixels, int64_t pixels_in, int64_t I, int64_t O, int64_t k) {
  return {"", O * I * k * k + O + 2 * O, pixels * O * I * k * k, 0,
          pixels_in * I + pixels * O + 2 * O};
}

Cost stem(const RmtConfig& c, int64_t H, int64_t W) {
  int64_t C = c.dims[0], half_pixels = half(H) * half(W), pixels = half(half(H)) * half(half(W));
  Cost s{.name = "stem"};
  if (!c.conv_stem) return s += conv_norm((H / 4) * (W / 4), H * W, 3, C, 4);
  s += conv_norm(half_pixels, H * W, 3, C / 2, 3);
  s += conv_norm(half_pixels, half_pixels, C / 2, C / 2, 3);
  s += conv_norm(pixels, half_pixels, C / 2, C, 3);
  s += conv_norm(pixels, pixels, C, C, 3);
  s.kept_values += 2 * half_pixels * (C / 2) + pixels * C;  // the inputs of the three GELUs
  return s;
}

Cost block(const RmtConfig& c, size_t s, int64_t H, int64_t W) {
  int64_t C = c.dims[s], F = int64_t(c.mlp_ratio[s] * double(C)), L = H * W;
  Cost b;
  b.parameters = 4 * (C * C + C) + 2 * 2 * C + (C * F + F) + (F * C + C);
  b.multiply_adds = L * (4 * C * C + 2 * C * F);
  if (c.local_context) b.parameters += 25 * C + C, b.multiply_adds += L * C * 25;
  if (c.position_conv) b.parameters += 9 * C + C, b.multiply_adds += L * C * 9;
  if (c.ffn_conv) b.parameters += 9 * F + F, b.multiply_adds += L * F * 9;
  if (c.layer_scale[s]) b.parameters += 2 * C;
  b.attention_multiply_adds = 2 * L * C * (c.decomposed[s] ? H + W : L);
  b.multiply_adds += b.attention_multiply_adds;
  // both norms' inputs and outputs, q, k, v, the input of out_proj; of the FFN the inputs of GELU,
  // dwconv and fc2
  b.kept_values = L * C * (4 + 3 + 1) + L * F * (c.ffn_conv ? 3 : 2) + 4 * L;
  if (c.position_conv) b.kept_values += L * C;       // its input
  if (c.decomposed[s]) b.kept_values += L * C;       // v after the first pass
  if (c.layer_scale[s]) b.kept_values += 2 * L * C;  // the branches before their scaling
  return b;
}

}  // namespace

Cost& Cost::operator+=(const Cost& c) {
  parameters += c.parameters;
  multiply_adds += c.multiply_adds;
  attention_multiply_adds += c.attention_multiply_adds;
  kept_values += c.kept_values;
  return *this;
}

Cost total(const std::vector<Cost>& parts) {
  Cost sum{.name = "total"};
  for (const Cost& c : parts) sum += c;
  return sum;
}

std::vector<Cost> cost(const RmtConfig& c, int64_t H, int64_t W) {
  std::vector<Cost> parts{stem(c, H, W)};
  H = c.conv_stem ? half(half(H)) : H / 4;
  W = c.conv_stem ? half(half(W)) : W / 4;
  for (size_t s = 0; s < 4; ++s) {
    Cost stage{.name = str("stage ", s + 1)};
    for (int64_t i = 0; i < c.depths[s]; ++i) stage += block(c, s, H, W);
    parts.push_back(stage);
    if (s == 3) break;
    Cost down{.name = str("downsample ", s + 1)};
    down += conv_norm(half(H) * half(W), H * W, c.dims[s], c.dims[s + 1], 3);
    parts.push_back(down);
    H = half(H), W = half(W);
  }
  int64_t C = c.dims[3], P = c.projection ? c.projection : C, L = H * W;
  Cost head{.name = "head"};
  if (c.projection) head += {"", C * P + P, L * C * P, 0, L * C + L * P};
  head += {"", 2 * P + P * c.num_classes + c.num_classes, P * c.num_classes, 0, L * P + 2 * P + P};
  parts.push_back(head);
  return parts;
}

}  // namespace rmt::nn
