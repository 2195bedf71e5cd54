// The forms of attention as settings of a run, and in files.
#include <gtest/gtest.h>

#include "tests/check_op.h"
#include "train/weights/hub.h"
#include "train/weights/model_file.h"
#include "train/weights/recognise.h"

namespace rmt::test {
using namespace train;

TEST(AttentionSettings, ReachTheModel) {
  TrainOptions o;
  EXPECT_EQ(model_config(o, 10).attention, nn::AttentionForm::manhattan);
  o.attention = "gate";
  EXPECT_EQ(model_config(o, 10).attention, nn::AttentionForm::gate);
  o.attention = "retention";
  o.retention_form = "recurrent";
  o.retention_chunk = 7;
  const nn::RmtConfig c = model_config(o, 10);
  EXPECT_EQ(c.attention, nn::AttentionForm::retention);
  EXPECT_EQ(c.retention_form, ops::RetentionForm::recurrent);
  EXPECT_EQ(c.retention_chunk, 7);
  o.retention_form = "loop";
  expect_error([&] { model_config(o, 10); }, {"\"loop\"", "parallel, chunkwise, recurrent"});
  o.attention = "retnet";
  expect_error([&] { model_config(o, 10); }, {"\"retnet\"", "manhattan, gate, retention"});
}

// A file of ours says which form it is; names and shapes alone cannot.
TEST(AttentionSettings, FilesAreReadByTheirDescription) {
  TrainOptions o;
  o.model = "rmt_n";
  o.attention = "retention";
  o.retention_form = "parallel";
  nn::Rmt model(model_config(o, 10));
  model.init(1);
  Archive a = model_archive(model, {.architecture = "rmt_n", .classes = {}, .options = to_json(o)});
  const ModelFile file = model_from(a, "");
  EXPECT_EQ(file.rmt("the test").config.attention, nn::AttentionForm::retention);
  EXPECT_EQ(file.rmt("the test").config.retention_form, ops::RetentionForm::parallel);
  EXPECT_NE(hub_config(file).find("\"attention\": \"retention\""), std::string::npos);
  a.path = "x.pth";
  expect_error([&] { recognise(a); }, {"x.pth", "g_proj", "--attention gate"});
}

}  // namespace rmt::test
