// The first word of many programs is a checkpoint. What they say where it is none, and what they
// expect, with an example to copy.
#pragma once
#include <filesystem>

#include "data/dataset.h"
#include "examples/flags.h"
#include "train/weights/model_file.h"

namespace rmt {

// -1 where `word` may be a checkpoint, else the exit status. `rest` is what follows it in the
// example, as in "photo.jpg".
inline int check_checkpoint_word(const CLI::App& app, const std::string& word,
                                 const std::string& rest) {
  std::string wrong;
  if (word.empty())
    wrong = "a checkpoint is required";
  else if (data::is_image_name(word))
    wrong = quoted_word(word) + " is an image, and a checkpoint comes first";
  else if (std::filesystem::is_directory(word) &&
           !std::filesystem::exists(train::weights_path(word)))
    wrong = quoted_word(word) +
            " is a folder without best.safetensors or model.safetensors; a checkpoint comes first";
  if (wrong.empty()) return -1;
  std::cerr << app.get_name() << ": " << wrong << ", as in: " << app.get_name() << " output/<run> "
            << rest << "\n(a run folder, a safetensors file, or a .pth file of PyTorch; "
            << app.get_name() << " --help lists the flags)" << std::endl;
  return 2;
}

// Error where the folder of images that a checkpoint records is not there. It is recorded as it was
// given to the program that trained: a relative one is there only for who stands where it stood.
inline void check_recorded_folder(const std::string& checkpoint, const std::string& data_dir,
                                  const std::string& program = "rmt-train") {
  namespace fs = std::filesystem;
  CHECK(!data_dir.empty(), checkpoint,
        ": does not say on which images it was trained; name a folder with --data-dir");
  CHECK(fs::exists(data_dir), checkpoint, ": was trained on ", data_dir,
        fs::path(data_dir).is_relative()
            ? ", a folder as seen from where " + program + " was started,"
            : "",
        " and that is not there; name the folder with --data-dir");
}

}  // namespace rmt
