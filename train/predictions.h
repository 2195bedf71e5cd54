// What a model says of an image, for people and for other programs.
#pragma once
#include <string>
#include <vector>

#include "train/weights/model_file.h"

namespace rmt::train {

struct Guess {
  int64_t index = 0;       // of the class
  double probability = 0;  // softmax of its logit
};

// The `top` most probable classes, the first of equals first. logits (1, K) f32 on the host.
std::vector<Guess> best_guesses(const Tensor& logits, int64_t top);

// What classes are called: as in the training folders, and by a table of words, "" where there is
// none for a class. Both go by index.
struct ClassNames {
  std::vector<std::string> labels;
  std::vector<std::string> words;
};

// "tench, Tinca tinca (n01440764)", or the label alone.
std::string full_name(const ClassNames& names, int64_t index);

// For small places: the first of its words, as in "tench", or the label.
std::string brief_name(const ClassNames& names, int64_t index);

// One JSON object without a line's end, its fields called as those of timm's inference.py, each a
// list from the most probable class on: {"filename":"a.jpg","index":[3,0],"label":["dog","cat"],
// "prob":[0.9,0.1]}, and "words" where any class has some.
std::string prediction_json(const std::string& file, const std::vector<Guess>& guesses,
                            const ClassNames& names);
// The object in its place for a file that could not be read: {"filename":"a.jpg","error":"..."}.
std::string unreadable_json(const std::string& file, const std::string& error);

// A table with a row for each guess. Its first row names the columns: filename, rank (from 1),
// index, label, prob.
std::string prediction_csv_head();
std::string prediction_csv(const std::string& file, const std::vector<Guess>& guesses,
                           const ClassNames& names);
// A field of such a table: in quotes where it holds a comma, a quote or a line's end.
std::string csv_field(const std::string& text);

}  // namespace rmt::train
