// Files of weights made to cost far more than their bytes, or to answer with no number: each is
// refused with a reason before the cost.
#include <gtest/gtest.h>

#include <limits>

#include "tests/check_op.h"
#include "tests/memory_file.h"
#include "tests/train/weights/pth_writer.h"
#include "train/checkpoint.h"
#include "train/run/epoch_log.h"
#include "train/run/json_text.h"
#include "train/weights/model_file.h"
#include "train/weights/pth.h"

namespace rmt::test {
using namespace data;
using namespace train;
namespace {

std::string safetensors(const std::string& header) {
  const uint64_t n = header.size();
  return std::string(reinterpret_cast<const char*>(&n), 8) + header;
}

Archive small_model() {
  nn::Rmt model(nn::rmt_config("rmt_n"));
  Archive a = model_archive(model, {"rmt_n", {}, "", ""});
  a.path = "x.safetensors";
  return a;
}

std::string repeated(const std::string& text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

}  // namespace

// 130 bytes that name a model of gigabytes: classes cost nothing in a shape without elements.
TEST(HostileWeights, AModelIsNotMadeFromAFileThatCannotHoldIt) {
  const std::string begin = "{\"__metadata__\":{\"architecture\":\"rmt_n\"},\"head.weight\":";
  expect_error(
      [&] {
        load_model_file(MemoryFile(safetensors(begin + "{\"dtype\":\"F32\",\"shape\":[500000,0],"
                                                       "\"data_offsets\":[0,0]}}"))
                            .path());
      },
      {"/proc/self/fd/", "head.weight is (500000, 0), expected (classes, channels)"});
  const std::string one = begin + "{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}";
  expect_error(
      [&] { load_model_file(MemoryFile(safetensors(one) + std::string(16, 0)).path(), "rmt_l"); },
      {"it holds 4 numbers, and rmt_l with 2 classes has"});
  // By shapes alone, with no name.
  Archive a = small_model();
  a.metadata.clear();
  a.tensors["head.weight"] = Tensor::empty({500'000, 0});
  expect_error([&] { model_from(a); }, {"head.weight is (500000, 0)"});
  // Another model than the one that is named is still told by what differs.
  Archive wrong = small_model();
  wrong.tensors["head.bias"] = Tensor::empty({7});
  expect_error([&] { model_from(wrong); }, {"head.bias is f32 (1000) in the model and f32 (7)"});
}

// A position embedding has a row for each patch, so an image of a million pixels a side would be a
// model of gigabytes.
TEST(HostileWeights, AnImageSizeThatIsTooLargeMakesNoModel) {
  TrainOptions o;
  o.model = "deit_s";
  o.img_size = int64_t(1) << 20;
  Archive a;
  a.path = "x.safetensors";
  a.metadata = {{"architecture", o.model}, {"options", to_json(o)}};
  a.tensors["head.weight"] = Tensor::zeros({2, 384});
  expect_error([&] { model_from(a); }, {"x.safetensors: says that its deit_s was trained on images "
                                        "of 1048576 pixels; 2048 are the most"});
}

TEST(HostileWeights, ThatAreNoNumbersAreRefused) {
  Archive a = small_model();
  EXPECT_NO_THROW(model_from(a));
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), INFINITY, -INFINITY}) {
    Tensor head = Tensor::zeros(a.at("head.weight").shape());
    head.data<float>()[head.numel() - 1] = bad;
    Archive b = a;
    b.tensors["head.weight"] = head;
    expect_error(
        [&] { model_from(b); },
        {"x.safetensors: head.weight holds numbers that are infinite or none", "diverged"});
    b = a;  // of an optimizer it is no business of the model's
    b.tensors["optimizer.exp_avg.head.weight"] = head;
    EXPECT_NO_THROW(model_kind(b));
  }
}

TEST(HostileWeights, ARecordedImageSizeIsNotObeyedWithoutBounds) {
  ModelFile file{{}, {}, 10, nullptr, "x.safetensors: rmt_n, 10 classes"};
  file.options.img_size = 16384;
  expect_error([&] { set_image_size(file, 0); }, {"16384 pixels", "give --img-size"});
  set_image_size(file, 16384);
  EXPECT_EQ(file.options.img_size, 16384);
  file.options.img_size = 384;
  set_image_size(file, 0);
  EXPECT_EQ(file.options.img_size, 384);
}

TEST(HostileJson, IsCountedBeforeItIsParsed) {
  EXPECT_EQ(parse_json("{\"a\": [1, 2, \"[{,\\\"[\"], \"b\": {}}").dump(),
            "{\"a\":[1,2,\"[{,\\\"[\"],\"b\":{}}");
  const std::string deepest(kMaxJsonDepth, '['), ends(kMaxJsonDepth, ']');
  EXPECT_TRUE(parse_json(deepest + ends).is_array());
  EXPECT_TRUE(parse_json("[" + deepest + ends + "]").is_discarded());
  const std::string many = "[" + repeated("0,", kMaxJsonValues - 2) + "0]";
  EXPECT_TRUE(parse_json(many).is_array());
  EXPECT_TRUE(parse_json("[" + many + "]").is_discarded());
  EXPECT_TRUE(parse_json("[" + repeated("[],", kMaxJsonValues) + "0]").is_discarded());
  EXPECT_TRUE(parse_json("\"" + std::string(kMaxJsonBytes - 2, 'a') + "\"").is_string());
  EXPECT_TRUE(parse_json("\"" + std::string(kMaxJsonBytes, 'a') + "\"").is_discarded());
  EXPECT_TRUE(parse_json("\"").is_discarded());
  EXPECT_TRUE(parse_json("\"\\").is_discarded());
  expect_error([&] { epoch_from_line(std::string(60'000'000, '['), "log.jsonl, line 1"); },
               {"log.jsonl, line 1: is not a JSON object"});
}

TEST(HostileWeights, NotesAreFew) {
  std::string notes;
  for (int i = 0; i <= 10'000; ++i) notes += str(i ? "," : "", "\"", i, "\":\"\"");
  const std::string bytes = safetensors("{\"__metadata__\":{" + notes + "}}");
  expect_error([&] { read_safetensors(MemoryFile(bytes).path()); }, {"more than 10000 notes"});
}

TEST(HostilePickle, KeepsAndStacksFewValues) {
  auto refusal = [](const std::string& program, const char* reason) {
    const std::string zip =
        zip_of({{"x/data.pkl", std::string("\x80\x02") + program + "."}, {"x/data/0", ""}});
    expect_error([&] { read_pth(MemoryFile(zip).path()); }, {reason});
  };
  refusal("N" + std::string(15'000'000, '\x94'), "keeps more than 1000000 values");
  refusal(std::string(15'000'000, '('), "stacks more than 1000000 values");
  refusal(std::string("Nq") + std::string(1, 0) + repeated(std::string("h\0", 2), 2'000'000),
          "stacks more than 1000000 values");
  refusal(std::string(2'000'000, 'N'), "holds more than 1000000 values");
}
}  // namespace rmt::test
