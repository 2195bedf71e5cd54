// "Did you mean": which of the known words is nearest to one that is not known.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

namespace rmt::train {

// How many letters must be inserted, deleted or replaced to turn a into b (Levenshtein). row[j] is
// that of the first i letters of a and the first j of b; each i makes it from that of i - 1.
inline size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

// The known word with the fewest letters to change, the first of several; empty when even that one
// is another word altogether.
inline std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  std::string best;
  size_t least = std::max<size_t>(3, word.size() / 3 + 1);
  for (const std::string& candidate : known)
    if (size_t d = edit_distance(word, candidate); d < least) {
      least = d;
      best = candidate;
    }
  return best;
}

// "; did you mean x?", or nothing.
inline std::string did_you_mean(const std::string& word, const std::vector<std::string>& known) {
  const std::string best = nearest(word, known);
  return best.empty() ? "" : "; did you mean " + best + "?";
}

// "a, b, c"
inline std::string listed(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

}  // namespace rmt::train
