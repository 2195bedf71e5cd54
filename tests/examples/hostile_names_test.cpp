// Names and notes from outside, as the programs print them: no control character reaches the
// terminal, and JSON stays JSON.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/images/image.h"
#include "nn/rmt/model.h"
#include "tests/examples/programs.h"
#include "train/checkpoint.h"
#include "train/options.h"

namespace rmt::test {
namespace {

using namespace train;

// An escape sequence, a line's end, and a surrogate, which is no UTF-8.
const std::string kEscape = "a\x1b[31m", kName = kEscape + "\n\xed\xa0\x80";

void write_image(const std::string& path) {
  const auto png = data::encode_png({33, 33, std::vector<uint8_t>(33 * 33 * 3, 200)});
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(png.data()), std::streamsize(png.size()));
}

bool printable_lines(const std::string& text) { return printable(text, true) == text; }

// A model of two classes, with these notes over its own.
std::string checkpoint(const std::string& path, const TrainOptions& options,
                       const std::string& class_name, float head = 0) {
  nn::RmtConfig config = nn::rmt_config("rmt_n");
  config.num_classes = 2;
  nn::Rmt model(config);
  Archive a = model_archive(model, {"rmt_n", {class_name, "b"}, to_json(options), ""});
  if (head != 0) a.tensors["head.bias"] = Tensor::from<float>({head, head}, {2});
  write_safetensors(path, a);
  return path;
}

TrainOptions small() {
  TrainOptions o;
  o.model = "rmt_n";
  o.img_size = 32;
  return o;
}

}  // namespace

TEST_F(Programs, NamesFromOutsideAreWrittenOut) {
  for (const char* split : {"/train/", "/val/"})
    for (const std::string& name : {kName, std::string("b")})
      write_image(data + split + name + "/" + kEscape + ".png");
  std::ofstream(data + "/train/b/\x1b.png") << "no image";
  const Result check = run("rmt-data check --data-dir data");
  EXPECT_TRUE(printable_lines(check.text)) << printable(check.text, true);
  EXPECT_NE(check.text.find("\\x1b.png"), std::string::npos) << check.text;
  const Result json = shell("\"$BIN\"/rmt-data check --data-dir data --json 2>/dev/null");
  const auto parsed = nlohmann::json::parse(json.text, nullptr, false);
  ASSERT_TRUE(parsed.is_object()) << printable(json.text);
  EXPECT_TRUE(parsed["splits"][0]["classes"].contains("a\x1b[31m\n\ufffd\ufffd\ufffd"));

  checkpoint(folder / "x.safetensors", small(), kEscape + "\u009b");
  const Result classes = shell("\"$BIN\"/rmt-classify x.safetensors data/val");
  EXPECT_EQ(classes.status, 0);
  EXPECT_TRUE(printable_lines(classes.text)) << printable(classes.text, true);
  EXPECT_NE(classes.text.find("a\\x1b[31m\\u009b"), std::string::npos) << classes.text;
}

TEST_F(Programs, AnswersThatAreNoNumbersAreErrors) {
  write_image(folder / "x.png");
  write_image(data + "/val/a/x.png");
  write_image(data + "/val/b/x.png");
  checkpoint(folder / "nan.safetensors", small(), "a", NAN);
  expect("rmt-classify nan.safetensors x.png", 1, {"nan.safetensors: head.bias holds", "diverged"});
  expect("rmt-eval nan.safetensors --data-dir data", 1, {"head.bias holds", "diverged"});
  TrainOptions o = small();
  o.mean = {1e308, 1e308, 1e308};
  checkpoint(folder / "mean.safetensors", o, "a");
  expect("rmt-classify mean.safetensors x.png", 1, {"mean inf", "do not fit colours"});
  expect("rmt-eval mean.safetensors --data-dir data", 1, {"mean inf", "do not fit colours"});
  o = small();
  o.img_size = 16384;
  checkpoint(folder / "large.safetensors", o, "a");
  for (const char* program :
       {"rmt-classify large.safetensors x.png", "rmt-eval large.safetensors --data-dir data"})
    expect(program, 1, {"16384", "give --img-size"});
  o = small();
  o.crop_pct = 1e-300;
  checkpoint(folder / "crop.safetensors", o, "a");
  expect("rmt-classify crop.safetensors x.png", 1, {"1e-300"});
}
}  // namespace rmt::test
