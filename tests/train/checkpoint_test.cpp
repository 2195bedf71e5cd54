#include "train/checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/check_op.h"
#include "tests/train/folder.h"

namespace rmt::test {
using namespace train;
namespace {

struct Net : nn::Module {
  Net(int64_t hidden, const std::string& last = "head") {
    parameter("fc.weight", {hidden, 3});
    parameter("fc.bias", {hidden});
    buffer("norm.running_mean", Tensor::zeros({hidden}));
    buffer("norm.count", Tensor::zeros({}, DType::i64));
    parameter(last + ".weight", {2, hidden});
  }
  void fill(uint64_t seed) {
    for (const nn::Entry& e : state())
      e.tensor->copy_from(is_float(e.tensor->dtype()) ? randn(e.tensor->shape(), seed++)
                                                      : Tensor::full({}, 5, DType::i64));
  }
};

bool same(nn::Module& a, nn::Module& b) {
  auto x = a.state(), y = b.state();
  for (size_t i = 0; i < x.size(); ++i)
    if (std::memcmp(x[i].tensor->raw(), y[i].tensor->raw(), x[i].tensor->nbytes()) != 0)
      return false;
  return x.size() == y.size();
}

const Description kNet{"net", {"cat", "dog \"the\" \xc3\xa4"}, "{\"seed\":1}"};

}  // namespace

TEST(Checkpoint, RoundTripOfModelOptimizerAndProgress) {
  TemporaryFolder folder;
  Net a(4), b(4);
  a.fill(1);
  Optimizer opt_a(a.parameters(), {}), opt_b(b.parameters(), {});
  for (int t = 0; t < 3; ++t) {
    for (const nn::Entry& e : a.parameters())
      set_grad(*e.tensor, randn(e.tensor->shape(), uint64_t(7 + t)).to(DType::f32));
    opt_a.step(0.1);
  }
  Archive out = model_archive(a, kNet);
  add_optimizer(out, opt_a, {.epoch = 3, .best_acc1 = 100. / 3, .best_epoch = 1}, {2, 30, 7});
  write_safetensors(folder / "last.safetensors", out);

  Archive in = read_safetensors(folder / "last.safetensors");
  load_model(b, in, "net");
  Progress p = load_optimizer(opt_b, in);
  EXPECT_TRUE(same(a, b));
  EXPECT_EQ(p.epoch, 3);
  EXPECT_EQ(p.best_acc1, 100. / 3);
  EXPECT_EQ(p.best_epoch, 1);
  for (size_t i = 0; i < opt_a.slots().size(); ++i) {
    OptimizerSlot &x = opt_a.slots()[i], &y = opt_b.slots()[i];
    EXPECT_EQ(x.t, y.t);
    EXPECT_EQ(x.exp_avg.to_vector<float>(), y.exp_avg.to_vector<float>());
    EXPECT_EQ(x.exp_avg_sq.to_vector<float>(), y.exp_avg_sq.to_vector<float>());
  }
  Description d = description_of(in);
  EXPECT_EQ(d.architecture, "net");
  EXPECT_EQ(d.classes, kNet.classes);
  EXPECT_EQ(d.options, kNet.options);
}

TEST(Checkpoint, ParametersStayLeavesAndOtherFloatsAreConverted) {
  Net a(4), b(4);
  a.fill(1);
  b.to(DType::f64);
  load_model(b, model_archive(a, kNet), "net");
  for (const nn::Entry& e : b.parameters()) {
    EXPECT_EQ(e.tensor->dtype(), DType::f64);
    EXPECT_FALSE(grad(*e.tensor).defined());
  }
  EXPECT_EQ(b.state()[0].tensor->data<double>()[0], double(a.state()[0].tensor->data<float>()[0]));
}

TEST(Checkpoint, AnotherModelIsRefusedWholeWithTheFirstKeyThatDiffers) {
  TemporaryFolder folder;
  std::string path = folder / "x.safetensors";
  Net wide(6), net(4), renamed(4, "classifier"), before(4);
  wide.fill(1), net.fill(2), before.fill(2);
  write_safetensors(path, model_archive(wide, kNet));
  Archive a = read_safetensors(path);
  expect_error(
      [&] { load_model(net, a, "other"); },
      {path, "fc.weight is f32 (4, 3) in the model and f32 (6, 3) in the file",
       "0 keys missing, 0 unexpected, 4 of another shape", "holds net, this model is other"});
  expect_error([&] { load_model(renamed, model_archive(net, kNet), "net"); },
               {"classifier.weight is f32 (2, 4) in the model and missing in the file",
                "1 keys missing, 1 unexpected, 0 of another shape"});
  Archive more = model_archive(net, kNet);
  more.tensors["zusatz"] = Tensor::zeros({7});
  expect_error(
      [&] { load_model(net, more, "net"); },
      {"zusatz is f32 (7) in the file and not in the model", "0 keys missing, 1 unexpected"});
  Archive kind = model_archive(net, kNet);
  kind.tensors["norm.count"] = Tensor::zeros({});
  expect_error([&] { load_model(net, kind, "net"); },
               {"norm.count is i64 () in the model and f32 () in the file"});
  EXPECT_TRUE(same(net, before)) << "a refused file changed the model";
}

TEST(Checkpoint, WhatCannotBeResumedSaysSo) {
  Net net(4);
  Optimizer optimizer(net.parameters(), {});
  Archive a = model_archive(net, kNet);
  a.path = "best.safetensors";
  expect_error([&] { load_optimizer(optimizer, a); },
               {"best.safetensors", "without the state of its training", "last.safetensors"});
  add_optimizer(a, optimizer, {}, {});
  a.tensors.erase("optimizer.exp_avg.fc.bias");
  expect_error([&] { load_optimizer(optimizer, a); }, {"optimizer.exp_avg.fc.bias"});
  add_optimizer(a, optimizer, {}, {});
  a.tensors["optimizer.exp_avg_sq.fc.bias"] = Tensor::zeros({9});
  expect_error([&] { load_optimizer(optimizer, a); },
               {"optimizer.exp_avg_sq.fc.bias is f32 (9), the run needs f32 (4)"});
  for (const char* progress : {"{", "[1]", "{\"epoch\":\"three\"}", "{}"}) {
    add_optimizer(a, optimizer, {}, {});
    a.metadata["progress"] = progress;
    EXPECT_THROW(load_optimizer(optimizer, a), Error) << progress;
  }
  a.metadata["classes"] = "{{";
  expect_error([&] { description_of(a); }, {"\"classes\" is not JSON"});
}

}  // namespace rmt::test
