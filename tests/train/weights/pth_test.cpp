#include "train/weights/pth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "core/files/files.h"
#include "core/half.h"
#include "tests/check_op.h"
#include "tests/train/folder.h"
#include "tests/train/weights/pth_writer.h"
#include "train/weights/pickle.h"
#include "train/weights/zip.h"

namespace rmt::test {
using namespace train;
namespace {

const std::string kGolden = "tests/golden/pth_";  // tests/golden/make_pth.py

void put(const std::string& path, const std::string& bytes) {
  std::filesystem::remove(
      path);  // some file systems wait for the disk when a file is cut to nothing and written again
  std::ofstream(path, std::ios::binary) << bytes;
}

// 0.25 (0, 1, ..., n - 1) - 1, as the script fills its tensors.
template <class T>
std::vector<T> ramp(size_t n) {
  std::vector<T> out(n);
  for (size_t i = 0; i < n; ++i) out[i] = T(0.25 * double(i) - 1);
  return out;
}

template <class T>
void expect_tensor(const Archive& a, const std::string& name, const Shape& shape,
                   const std::vector<T>& values) {
  SCOPED_TRACE(name);
  const Tensor& x = a.at(name);
  EXPECT_EQ(x.shape(), shape);
  ASSERT_EQ(x.dtype(), dtype_of<T>);
  EXPECT_EQ(x.to_vector<T>(), values);
}

bool same(const Archive& a, const Archive& b) {
  for (const auto& [name, x] : a.tensors) {
    auto it = b.tensors.find(name);
    if (it == b.tensors.end() || it->second.shape() != x.shape() || it->second.dtype() != x.dtype())
      return false;
    if (std::memcmp(x.raw(), it->second.raw(), x.nbytes()) != 0) return false;
  }
  return a.tensors.size() == b.tensors.size();
}

// A file with that pickle and one storage "0" of `floats` numbers.
std::string file_of(const std::string& pickled, size_t floats = 6) {
  return zip_of({{"x/data.pkl", pickled}, {"x/data/0", std::string(4 * floats, '\1')}});
}
std::string file_of(const TensorRecord& t) { return file_of(pickle(dict({{"w", t.str()}}))); }

}  // namespace

TEST(Zip, Crc32OfTheCheckText) { EXPECT_EQ(crc32("123456789", 9), 0xcbf43926u); }

TEST(Pickle, LongIntegersOfAnyLength) {
  auto known = [](const std::string&) { return PyGlobal::known; };
  const std::vector<std::pair<std::string, int64_t>> cases{
      {std::string("\x8a\0", 2), 0},
      {"\x8a\1\xff", -1},
      {std::string("\x8a\2\xff\0", 4), 255},
      {"\x8a\3\1\2\3", 0x030201},
      {integer(INT64_MIN), INT64_MIN},
      {integer(INT64_MAX), INT64_MAX},
      {"J\xfe\xff\xff\xff", -2},
  };
  for (const auto& [bytes, value] : cases) {
    const Pickle p = read_pickle(pickle(bytes), "x", known);
    EXPECT_EQ(p.root->kind, PyValue::integer);
    EXPECT_EQ(p.root->number, value);
  }
  EXPECT_EQ(read_pickle(pickle("\x8a\x0a" + std::string(10, 'x')), "x", known).root->kind,
            PyValue::other);
}

TEST(Pth, EveryTypeAndEveryView) {
  Archive a = read_weights(kGolden + "types.pth");
  EXPECT_EQ(a.tensors.size(), 21u);
  EXPECT_EQ(a.metadata.at("taken_from"), "");
  for (const char* name : {"float32", "float16", "bfloat16"})
    expect_tensor(a, name, {2, 3}, ramp<float>(6));
  expect_tensor(a, "float64", {2, 3}, ramp<double>(6));
  expect_tensor<int64_t>(a, "int64", {5}, {-2, -1, 0, 1, 2});
  for (const char* name : {"int32", "int16", "int8"})
    expect_tensor<int32_t>(a, name, {5}, {-2, -1, 0, 1, 2});
  expect_tensor<uint8_t>(a, "uint8", {3}, {0, 1, 255});
  expect_tensor<uint8_t>(a, "bool", {3}, {1, 0, 1});
  expect_tensor<int64_t>(a, "scalar", {}, {7});
  expect_tensor<float>(a, "empty", {0, 4}, {});
  expect_tensor(a, "parameter", {2}, ramp<float>(2));

  // The neighbours of 6e-8, the least number above 0, and of -6.1e-5 below the least normal one,
  // 2^-14.
  std::vector<float> h = a.at("half_extremes").to_vector<float>();
  EXPECT_EQ(h[0], std::ldexp(1.f, -24));
  EXPECT_EQ(h[1], -std::ldexp(1023.f, -24));
  EXPECT_EQ(h[2], 65504.f);
  EXPECT_TRUE(std::isinf(h[3]) && h[4] == 0 && std::signbit(h[4]) && std::isnan(h[5]));

  std::vector<float> base = ramp<float>(24);  // (4, 6)
  expect_tensor(a, "whole", {4, 6}, base);
  std::vector<float> transposed, stepped, last;
  for (size_t c = 0; c < 6; ++c)
    for (size_t r = 0; r < 4; ++r) transposed.push_back(base[6 * r + c]);
  for (size_t r = 1; r < 4; ++r)
    for (size_t c = 0; c < 6; c += 2) stepped.push_back(base[6 * r + c]);
  expect_tensor(a, "transposed", {6, 4}, transposed);
  expect_tensor<float>(a, "row", {6}, {base.begin() + 12, base.begin() + 18});
  expect_tensor<float>(a, "column", {4}, {base[1], base[7], base[13], base[19]});
  expect_tensor(a, "stepped", {3, 3}, stepped);
  expect_tensor<float>(a, "expanded", {2, 3}, {-1, -.75, -.5, -1, -.75, -.5});
  expect_tensor(a, "channels_last", {1, 2, 3, 4}, base);
}

TEST(Pth, ACheckpointGivesItsAverageOrTheEntryAskedFor) {
  const std::string path = kGolden + "checkpoint.pth";
  Archive ema = read_pth(path), model = read_pth(path, "model");
  EXPECT_EQ(ema.metadata.at("taken_from"), "model_ema");
  EXPECT_EQ(ema.metadata.at("beside"), "model");
  EXPECT_EQ(model.metadata.at("taken_from"), "model");
  EXPECT_EQ(model.tensors.size(), 7u);  // without "module."
  expect_tensor<float>(model, "fc.weight", {3, 2}, ramp<float>(6));
  expect_tensor<float>(ema, "fc.weight", {3, 2}, {9, 9.25, 9.5, 9.75, 10, 10.25});
  expect_tensor<float>(ema, "fc.bias", {3}, {10, 10.25, 10.5});
  expect_tensor<int64_t>(model, "bn.num_batches_tracked", {}, {1});
  expect_error([&] { read_pth(path, "optimizer"); },
               {path, "below \"state.\"", "(integer)", "no state_dict"});
  expect_error([&] { read_pth(path, "teacher"); },
               {path, "no dictionary \"teacher\"", "\"model\", \"optimizer\", \"lr_scheduler\""});
}

TEST(Pth, NewerProtocolsAndDictionariesInsideDictionaries) {
  Archive a = read_pth(kGolden + "protocol4.pth"), net = read_pth(kGolden + "protocol4.pth", "net");
  EXPECT_EQ(a.metadata.at("taken_from"), "model");
  expect_tensor(a, "a.b", {2}, ramp<float>(2));
  expect_tensor(a, "c.d", {3}, ramp<float>(3));
  expect_tensor(net, "w", {4}, ramp<float>(4));
}

// Stored as cells (2, H, W, T), and seen as planes (2, T, H, W).
TEST(Pth, OneTensorWithoutANameIsCalledTensor) {
  const std::string path = kGolden + "labels.pth";
  const Archive a = read_weights(path);
  EXPECT_EQ(a.tensors.size(), 1u);
  EXPECT_EQ(a.metadata.at("stored_as"), "torch float16");
  std::vector<float> values(2 * 4 * 2 * 3);
  for (int t = 0; t < 4; ++t)
    for (int cell = 0; cell < 6; ++cell) {
      const int i = 4 * cell + t, to = 6 * t + cell;
      values[size_t(to)] = from_half(to_half(10 - float(i) * 0.37f));
      values[size_t(24 + to)] = float(i * 7 % 50);
    }
  expect_tensor(a, "tensor", {2, 4, 2, 3}, values);
  expect_error([&] { read_pth(path, "model"); }, {path, "one tensor without a name", "\"model\""});

  TemporaryFolder folder;
  const std::string x = TensorRecord{.elements = 6, .sizes = {6}, .strides = {1}}.str(),
                    parameter = global("torch._utils", "_rebuild_parameter") +
                                tuple({x, "\x89", global("collections", "OrderedDict") + ")R"}) +
                                "R";
  put(folder / "p.pth", file_of(pickle(parameter)));
  EXPECT_EQ(read_weights(folder / "p.pth").at("tensor").shape(), Shape{6});
  EXPECT_EQ(read_weights(folder / "p.pth").metadata.at("stored_as"), "torch float32");
  put(folder / "p.pth",
      file_of(pickle(TensorRecord{.elements = 6, .sizes = {7}, .strides = {1}}.str())));
  expect_error([&] { read_weights(folder / "p.pth"); },
               {folder / "p.pth", "\"tensor\" reaches beyond its storage"});
}

TEST(Pth, WhatIsRefusedIsNamed) {
  auto refused = [](const std::string& name, const std::vector<std::string>& parts) {
    expect_error([&] { read_weights(kGolden + name + ".pth"); }, parts);
  };
  refused("evil", {"pth_evil.pth", "calls posix.system", "refused"});
  refused("legacy", {"before 1.6", "torch.save(torch.load("});
  refused("deflated", {"is compressed (method 8)", "zip -0"});
  refused("uint16", {"\"w\" is of type torch uint16", "convert it"});
  refused("mixed", {"\"epoch\" is no tensor (integer)"});
  expect_error([&] { read_weights("tests/golden/rmt_n_64x64_eval.safetensors", "model"); },
               {"safetensors", "\"model\""});
}

TEST(Pth, LiesAboutSizesAreFoundOut) {
  TemporaryFolder folder;
  const std::string path = folder / "x.pth";
  const int64_t huge = int64_t(1) << 40;
  put(path, file_of({.elements = 6, .sizes = {2, 3}, .strides = {3, 1}}));
  EXPECT_EQ(read_weights(path).at("w").shape(), (Shape{2, 3}));
  struct Case {
    TensorRecord t;
    std::string reason;
  };
  const std::vector<Case> cases{
      {{.elements = 6, .offset = 1, .sizes = {2, 3}, .strides = {3, 1}},
       "reaches beyond its storage of 24 bytes"},
      {{.elements = 6, .sizes = {2, 3}, .strides = {4, 1}}, "reaches beyond"},
      {{.elements = 6, .offset = 6, .sizes = {}, .strides = {}}, "reaches beyond"},
      {{.elements = 6, .sizes = {2, 3}, .strides = {huge * 4096, 1}}, "reaches beyond"},
      {{.elements = 6, .sizes = {huge, huge, 0}, .strides = {1, 1, 1}}, "reaches beyond"},
      {{.elements = 6, .sizes = {huge, huge}, .strides = {huge, huge}}, "reaches beyond"},
      {{.elements = 6, .sizes = {1 << 20, 1 << 10}, .strides = {0, 0}},
       "16 times as large as the file"},
      {{.elements = 6, .sizes = {-2, 3}, .strides = {3, 1}}, "size, stride or offset"},
      {{.elements = 6, .sizes = {2, 3}, .strides = {-3, 1}}, "size, stride or offset"},
      {{.elements = 6, .offset = -1, .sizes = {2}, .strides = {1}}, "size, stride or offset"},
      {{.elements = 6, .sizes = {2, 3}, .strides = {1}}, "2 sizes and 1 strides"},
      {{.elements = 6,
        .sizes = {1, 1, 1, 1, 1, 1, 1, 1, 1},
        .strides = {1, 1, 1, 1, 1, 1, 1, 1, 1}},
       "at most 8"},
      {{.elements = 7, .sizes = {2}, .strides = {1}}, "7 elements of 4 bytes, the file has 24"},
      {{.type = "DoubleStorage", .elements = 6, .sizes = {2}, .strides = {1}},
       "6 elements of 8 bytes, the file has 24"},
      {{.key = "1", .elements = 6, .sizes = {2}, .strides = {1}},
       "storage \"1\", which the file does not hold"},
      {{.key = "../data.pkl", .elements = 6, .sizes = {2}, .strides = {1}},
       "which the file does not hold"},
      {{.type = "ComplexFloatStorage", .elements = 3, .sizes = {2}, .strides = {1}},
       "torch ComplexFloatStorage"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.reason);
    put(path, file_of(c.t));
    expect_error([&] { read_weights(path); }, {path, "\"w\"", c.reason});
  }
}

TEST(Pth, PicklesThatAreNoneOfOurs) {
  TemporaryFolder folder;
  const std::string path = folder / "x.pth",
                    w = TensorRecord{.elements = 6, .sizes = {6}, .strides = {1}}.str();
  std::string deep = w, circle = "}q\1" + text("model") + "h\1s";
  for (int i = 0; i < 9; ++i) deep = dict({{"d", deep}});
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "cut short"},
      {"(lp0\n.", "protocol"},
      {"\x80\x01].", "protocol 1"},
      {"\x80\x02", "cut short"},
      {pickle("I1\n"), "instruction 73"},                     // INT, of protocol 0
      {pickle("(S'echo'\nios\nsystem\n"), "instruction 83"},  // STRING
      {pickle("(ios\nsystem\n"), "instruction 105"},          // INST, another way to call
      {pickle(std::string("\x82\1", 2)), "instruction 130"},  // EXT1
      {pickle(global("os", "system") + tuple({text("x")}) + "R"), "os.system"},
      {pickle(global("builtins", "eval") + tuple({text("x")}) + "R"), "builtins.eval"},
      {pickle(text("os") + text("system") + "\x93"), "os.system"},  // STACK_GLOBAL
      {pickle(global("torch", "load")), "torch.load"},
      {pickle(global("o\ns", "x")), "o.s"},
      {pickle("t"), "a mark that is not there"},
      {pickle("\x85"), "a value that is not there"},
      {pickle("N(N\x86t"), "a value that is not there"},  // a tuple of two reaching below a mark
      {pickle("h\5"), "recalls the value 5"},
      {pickle("NNR"), "calls a none"},
      {pickle("N(NNu"), "adds 2 values to a none"},
      {pickle("}(Nu"), "adds 1 values to a dictionary"},
      {pickle("NN"), "values left over"},
      {pickle("X\xff\xff\xff\xff"), "cut short"},
      {pickle("N"), "holds a none, neither a dictionary of tensors nor a tensor"},
      {pickle(global("torch", "device") + tuple({text("cpu")}) + "R"), "neither a dictionary"},
      {pickle(global("torch._utils", "_rebuild_parameter") + ")R"), "neither a dictionary"},
      {pickle("}"), "holds no tensors"},
      {pickle("}NNs"), "names an entry by something else than a text of 1 to 1024 bytes (none)"},
      {pickle(dict({{"w", w}, {"w", w}})), "two tensors \"w\""},
      {pickle(dict({{"model", dict({{"w", "K\1"}})}})), "\"w\" is no tensor (integer)"},
      {pickle(dict({{"w", global("torch", "device") + tuple({text("cpu")}) + "R"}})),
       "\"w\" is no tensor (torch device)"},
      {pickle(dict({{"w", global("torch._utils", "_rebuild_tensor_v2") + ")R"}})),
       "made from 0 values"},
      {pickle(dict({{"w", global("torch._utils", "_rebuild_tensor_v2") +
                              tuple({"N", "N", "N", "N", "N", "N"}) + "R"}})),
       "\"w\" has no storage"},
      {pickle(deep), "more than 8 deep"},
      {pickle(circle), "more than 8 deep"},
  };
  for (const auto& [bytes, reason] : cases) {
    SCOPED_TRACE(reason);
    put(path, file_of(bytes));
    expect_error([&] { read_weights(path); }, {path, reason});
  }
  put(path,
      file_of(pickle(dict({{"a", "}q\1" + text("w") + w + "s"},
                           {"b", "h\1"}}))));  // one dictionary under two names is none of them
  EXPECT_EQ(read_weights(path).tensors.size(), 2u);
}

TEST(Pth, ZipFilesOfOthersAndOfBigSizes) {
  TemporaryFolder folder;
  const std::string path = folder / "x.pth",
                    w = pickle(dict(
                        {{"w", TensorRecord{.elements = 1, .sizes = {}, .strides = {}}.str()}}));
  const ZipEntry data{"x/data.pkl", w}, number{"x/data/0", std::string("\0\0\x80\x3f", 4)};
  for (bool zip64 : {false, true}) {
    put(path, zip_of({data, number}, zip64));
    EXPECT_EQ(read_weights(path).at("w").item<float>(), 1) << zip64;
  }
  put(path, zip_of({data, number, {"x/byteorder", "big"}}));
  expect_error([&] { read_weights(path); }, {path, "big-endian"});
  put(path, zip_of({data, number, {"x/constants.pkl", ""}}));
  expect_error([&] { read_weights(path); }, {path, "TorchScript"});
  put(path, zip_of({{"picture.png", "x"}}));
  expect_error([&] { read_weights(path); }, {path, "without a data.pkl"});
  put(path, zip_of({data, number, number}));
  expect_error([&] { read_weights(path); }, {path, "two entries \"x/data/0\""});
  std::string renamed =
      zip_of({data, number});  // in the entry's own header, and not in the directory
  renamed[renamed.find("x/data/0") + 7] = '1';
  put(path, renamed);
  expect_error([&] { read_weights(path); }, {path, "\"x/data/0\" is not where the directory says"});
  put(path, zip_of({data, number}) + "x");
  expect_error([&] { read_weights(path); }, {path, "no end record"});
  put(path,
      "x" + zip_of({data, number}));  // something before it, as in a program that unpacks itself
  expect_error([&] { read_pth(path); }, {path, "does not end where its end record begins"});
}

TEST(Pth, NoPrefixOfAFileIsTakenForIt) {
  TemporaryFolder folder;
  const std::string bytes = read_file(kGolden + "checkpoint.pth", 1 << 20),
                    path = folder / "cut.pth";
  for (size_t n = 0; n < bytes.size(); n += n < 64 || n + 128 > bytes.size() ? 1 : 13) {
    put(path, bytes.substr(0, n));
    EXPECT_THROW(read_weights(path), Error) << "cut to " << n << " of " << bytes.size() << " bytes";
  }
}

// In real files every byte that is used is under a checksum or named twice: a flipped bit is
// refused, or lies where it does no harm.
TEST(Pth, FlippedBitsAreRefusedOrHarmless) {
  TemporaryFolder folder;
  const std::string path = folder / "flipped.pth";
  for (const char* name : {"types.pth", "checkpoint.pth"}) {
    const Archive original = read_pth(kGolden + name);
    const std::string bytes = read_file(kGolden + name, 1 << 20);
    int refused = 0, harmless = 0;
    for (size_t bit = 0; bit < 8 * bytes.size();
         bit += 37) {  // 37 and 8 have no common factor: every place in a byte has its turn
      std::string changed = bytes;
      changed[bit / 8] = char(changed[bit / 8] ^ (1 << (bit % 8)));
      put(path, changed);
      try {
        EXPECT_TRUE(same(read_pth(path), original)) << name << ", bit " << bit;
        ++harmless;
      } catch (const Error& e) {
        EXPECT_NE(std::string(e.what()).find(path), std::string::npos) << e.what();
        ++refused;
      }
    }
    EXPECT_GT(refused, 300) << name << ", " << harmless << " harmless";
  }
}

// The same with the checksum made right again, so that damage reaches the pickle machine: anything
// may come out but a crash or a tensor that is not in the file.
TEST(Pth, DamagedPicklesNeverCrash) {
  TemporaryFolder folder;
  const std::string path = folder / "damaged.pth";
  for (const char* name : {"types", "checkpoint"}) {
    const ZipFile zip(kGolden + name + ".pth");
    std::vector<ZipEntry> entries;
    for (const std::string& entry : zip.names()) entries.push_back({entry, zip.read(entry)});
    ZipEntry& data = *std::find_if(entries.begin(), entries.end(),
                                   [](const ZipEntry& e) { return e.name.ends_with("data.pkl"); });
    const std::string original = data.bytes;
    int refused = 0, read = 0;
    for (uint64_t i = 0; i < 1500; ++i) {
      Random random(7, Purpose::test, i);
      data.bytes = original;
      for (int64_t changes = 1 + random.below(3); changes > 0; --changes)
        data.bytes[size_t(random.below(int64_t(original.size())))] = char(random.below(256));
      put(path, zip_of(entries));
      try {
        for (const auto& [tensor, x] : read_pth(path).tensors)
          EXPECT_LE(x.nbytes(), size_t(2) << 20) << tensor;
        ++read;
      } catch (const Error& e) {
        EXPECT_NE(std::string(e.what()).find(path), std::string::npos) << e.what();
        ++refused;
      }
    }
    EXPECT_GT(refused, 100) << name;
    EXPECT_GT(read, 100) << name;
  }
}

}  // namespace rmt::test
