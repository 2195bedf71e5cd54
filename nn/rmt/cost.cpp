#include "nn/rmt/cost.h"

#include <algorithm>

#include "core/error.h"

namespace rmt::nn {
namespace {

int64_t half(int64_t n) { return (n + 1) / 2; }  // of a convolution of stride 2

// A k x k convolution with bias that makes `pixels` of `pixels_in`, and a batch norm. It keeps the
// inputs of both, and the norm's mean and deviation.
Cost conv_norm(int64_t pixels, int64_t pixels_in, int64_t I, int64_t O, int64_t k) {
  return {.parameters = O * I * k * k + O + 2 * O,
          .multiply_adds = pixels * O * I * k * k,
          .kept_values = pixels_in * I + pixels * O + 2 * O};
}

Cost stem(const RmtConfig& c, int64_t H, int64_t W) {
  const int64_t C = c.stages[0].channels;
  Cost s{.name = "stem"};
  if (!c.conv_stem) return s += conv_norm((H / 4) * (W / 4), H * W, 3, C, 4);
  const int64_t half_pixels = half(H) * half(W), pixels = half(half(H)) * half(half(W));
  s += conv_norm(half_pixels, H * W, 3, C / 2, 3);
  s += conv_norm(half_pixels, half_pixels, C / 2, C / 2, 3);
  s += conv_norm(pixels, half_pixels, C / 2, C, 3);
  s += conv_norm(pixels, pixels, C, C, 3);
  s.kept_values += 2 * half_pixels * (C / 2) + pixels * C;  // the inputs of the three GELUs
  return s;
}

Cost linear(int64_t L, int64_t I, int64_t O) {
  return {.parameters = O * I + O, .multiply_adds = L * O * I};
}

Cost depthwise(int64_t L, int64_t C, int64_t k) {
  return {.parameters = C * k * k + C, .multiply_adds = L * C * k * k};
}

// Of a block's queries, keys and values, without what makes them. Retention counts the pairs of
// tokens m <= n, and a state of D C numbers that is read and written.
int64_t attention_multiply_adds(const RmtConfig& c, const StageConfig& s, int64_t H, int64_t W) {
  const int64_t C = s.channels, D = C / s.heads, L = H * W;
  if (c.attention != AttentionForm::retention) return 2 * L * C * (s.decomposed ? H + W : L);
  const auto pairs = [](int64_t n) { return n * (n + 1) / 2; };
  const int64_t chunk = std::clamp<int64_t>(c.retention_chunk, 1, L), of_state = 2 * L * D * C;
  switch (c.retention_form) {
    case ops::RetentionForm::parallel: return 2 * pairs(L) * C;
    case ops::RetentionForm::chunkwise:
      return 2 * (L / chunk * pairs(chunk) + pairs(L % chunk)) * C + of_state;
    case ops::RetentionForm::recurrent: return of_state;
  }
  throw Error("cost: unknown form of retention");
}

// Beside q, k, v and the result.
int64_t attention_kept_values(const RmtConfig& c, const StageConfig& s, int64_t H, int64_t W) {
  const int64_t C = s.channels, N = s.heads, L = H * W;
  // What the row pass has made of v.
  if (c.attention == AttentionForm::manhattan) return s.decomposed ? L * C : 0;
  // Of the gate the input of swish and its result, of the norm input, result and statistics.
  const int64_t gate = 4 * L * C + 2 * L * N;
  if (c.attention == AttentionForm::retention) return gate;
  // Of each pass q, k and v in its own order, what it gathers before the division, and numbers that
  // lead from the sums of R to the divisors; instead of q and k as they were. And R.
  const int64_t passes = s.decomposed ? 2 : 1;
  return gate + passes * 4 * (L * C + L * N) - 2 * L * C + L * N * (s.decomposed ? H + W : L);
}

Cost block(const RmtConfig& c, const StageConfig& s, int64_t H, int64_t W) {
  const int64_t C = s.channels, F = s.hidden(), L = H * W;
  Cost b{.parameters = 2 * 2 * C};                   // two layer norms
  for (int i = 0; i < 4; ++i) b += linear(L, C, C);  // q, k, v, out
  b += linear(L, C, F);
  b += linear(L, F, C);
  if (c.local_context) b += depthwise(L, C, 5);
  if (c.position_conv) b += depthwise(L, C, 3);
  if (c.ffn_conv) b += depthwise(L, F, 3);
  if (s.layer_scale) b.parameters += 2 * C;
  if (c.attention != AttentionForm::manhattan) b += linear(L, C, C);  // the gate
  b.attention_multiply_adds = attention_multiply_adds(c, s, H, W);
  b.multiply_adds += b.attention_multiply_adds;

  // Both norms' inputs and outputs, q, k, v, the input of out_proj; two statistics of each norm a
  // token; of the feed-forward network the inputs of GELU, convolution and fc2.
  b.kept_values = L * C * (4 + 3 + 1) + 4 * L + L * F * (c.ffn_conv ? 3 : 2);
  if (c.position_conv) b.kept_values += L * C;  // its input
  b.kept_values += attention_kept_values(c, s, H, W);
  if (s.layer_scale) b.kept_values += 2 * L * C;  // the branches before they are scaled
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
  for (size_t i = 0; i < c.stages.size(); ++i) {
    const StageConfig& s = c.stages[i];
    Cost stage{.name = str("stage ", i + 1)};
    for (int64_t n = 0; n < s.blocks; ++n) stage += block(c, s, H, W);
    parts.push_back(stage);
    if (i + 1 == c.stages.size()) break;
    Cost down{.name = str("downsample ", i + 1)};
    down += conv_norm(half(H) * half(W), H * W, s.channels, c.stages[i + 1].channels, 3);
    parts.push_back(down);
    H = half(H);
    W = half(W);
  }
  const int64_t C = c.stages[3].channels, P = c.projection ? c.projection : C, L = H * W;
  Cost head{.name = "head"};
  if (c.projection) {
    head += linear(L, C, P);
    head.kept_values += L * C + L * P;  // its input, and SiLU's
  }
  head += linear(1, P, c.num_classes);
  if (c.token_head != TokenHead::none)
    head += linear(L, c.token_head == TokenHead::projected ? P : C, c.num_classes);
  head.parameters += 2 * P;               // batch norm
  head.kept_values += L * P + 2 * P + P;  // its input and statistics, the pooled features
  parts.push_back(head);
  return parts;
}

}  // namespace rmt::nn
