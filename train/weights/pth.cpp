#include "train/weights/pth.h"

#include <algorithm>
#include <cstring>

#include "core/half.h"
#include "train/weights/pickle.h"
#include "train/weights/zip.h"

namespace rmt::train {
namespace {

constexpr size_t kMaxEntries = 100'000, kMaxDepth = 8;
// Tensors may share bytes, or repeat one number a million times (stride 0), so that a small file
// could fill the memory. All tensors together may be this many times as large as the file, which a
// model's never come near to.
constexpr uint64_t kMaxGrowth = 16;

struct f16 {
  uint16_t bits;
  explicit operator float() const { return from_half(bits); }
};

// Which elements of a storage a tensor consists of.
struct View {
  std::string name;  // of the tensor
  Shape shape;
  uint64_t offset;  // elements
  std::vector<uint64_t> strides;
  const struct Format* format;
};

// out[i, j, ...] = storage[offset + i stride_0 + j stride_1 + ...], walked in the order of `out`:
// the last index grows first, and where it would leave its extent it begins anew and the one before
// it grows, as in counting.
template <class From, class To>
void gather(const char* bytes, const View& v, Tensor& out) {
  To* to = out.data<To>();
  const int rank = v.shape.rank();
  int64_t index[Shape::max_rank] = {};
  uint64_t at = v.offset;
  for (int64_t n = out.numel(); n > 0; --n) {
    From x;
    std::memcpy(&x, bytes + at * sizeof(From), sizeof x);
    *to++ = To(x);
    for (int i = rank - 1; i >= 0; --i) {
      at += v.strides[size_t(i)];
      if (++index[i] < v.shape[i]) break;
      at -= v.strides[size_t(i)] * uint64_t(v.shape[i]);
      index[i] = 0;
    }
  }
}

struct Format {
  // The globals that name it: torch.FloatStorage, or torch.float32 beside an untyped storage.
  const char *storage, *dtype;
  size_t bytes;  // of an element in the file
  DType result;
  void (*gather)(const char*, const View&, Tensor&);
};
constexpr Format kFormats[] = {
    {"torch FloatStorage", "torch float32", 4, DType::f32, gather<float, float>},
    {"torch HalfStorage", "torch float16", 2, DType::f32, gather<f16, float>},
    {"torch BFloat16Storage", "torch bfloat16", 2, DType::f32, gather<bf16, float>},
    {"torch DoubleStorage", "torch float64", 8, DType::f64, gather<double, double>},
    {"torch LongStorage", "torch int64", 8, DType::i64, gather<int64_t, int64_t>},
    {"torch IntStorage", "torch int32", 4, DType::i32, gather<int32_t, int32_t>},
    {"torch ShortStorage", "torch int16", 2, DType::i32, gather<int16_t, int32_t>},
    {"torch CharStorage", "torch int8", 1, DType::i32, gather<int8_t, int32_t>},
    {"torch ByteStorage", "torch uint8", 1, DType::u8, gather<uint8_t, uint8_t>},
    {"torch BoolStorage", "torch bool", 1, DType::u8, gather<uint8_t, uint8_t>},
};
const std::string kUntyped[] = {"torch.storage UntypedStorage", "torch UntypedStorage"};
const std::string kParameter[] = {"torch._utils _rebuild_parameter",
                                  "torch._utils _rebuild_parameter_with_state"};
const std::string kTensor2 = "torch._utils _rebuild_tensor_v2",
                  kTensor3 = "torch._utils _rebuild_tensor_v3";

// What checkpoints hold beside the weights: it is read as notes that do nothing, never made.
// clang-format off
const char* const kBystanders[] = {
    "argparse Namespace", "collections Counter", "collections defaultdict", "_codecs encode",
    "torch Size", "torch device", "torch.storage TypedStorage", "torch uint16", "torch uint32",
    "torch uint64", "torch complex64", "torch complex128", "torch ComplexFloatStorage",
    "torch ComplexDoubleStorage", "torch float8_e4m3fn", "torch float8_e5m2", "numpy dtype",
    "numpy ndarray", "numpy.core.multiarray scalar", "numpy.core.multiarray _reconstruct",
    "numpy._core.multiarray scalar", "numpy._core.multiarray _reconstruct", "__builtin__ set",
    "__builtin__ dict", "__builtin__ complex", "__builtin__ slice", "__builtin__ bytearray",
    "builtins set", "builtins dict", "builtins complex", "builtins slice", "builtins bytearray",
    "pathlib PosixPath", "pathlib PurePosixPath", "pathlib WindowsPath"};
// clang-format on

template <class List, class T>
bool among(const List& list, const T& value) {
  return std::find(std::begin(list), std::end(list), value) != std::end(list);
}

// What to think of a global that a pickle names.
PyGlobal opinion_of(const std::string& name) {
  if (name == "collections OrderedDict") return PyGlobal::mapping;
  bool format = std::any_of(std::begin(kFormats), std::end(kFormats),
                            [&](const Format& f) { return name == f.storage || name == f.dtype; });
  bool known = format || among(kUntyped, name) || among(kParameter, name) || name == kTensor2 ||
               name == kTensor3 || among(kBystanders, name);
  return known ? PyGlobal::known : PyGlobal::refused;
}

struct Storage {
  std::string key;
  uint64_t elements;        // bytes of an untyped one
  const std::string* type;  // "torch FloatStorage"
};

// Reads a file's tensors in two passes. The first finds which views of which storages there are;
// the second goes storage by storage, so that only one of them is in memory beside the result.
class Reader {
 public:
  explicit Reader(const std::string& path) : zip_(path), folder_(find_folder()) {
    if (zip_.has(folder_ + "byteorder"))
      CHECK(zip_.read(folder_ + "byteorder") == "little", path,
            ": was written by a big-endian machine, which rmt does not read; save it again on "
            "another one");
    pickle_ = read_pickle(zip_.read(folder_ + "data.pkl"), path, opinion_of);
  }

  Archive read(const std::string& key) {
    Archive archive;
    archive.path = zip_.path();
    const PyValue* root = pickle_.root;
    if (is_tensor(*root)) {
      CHECK(key.empty(), zip_.path(), ": holds one tensor without a name, and no entry ",
            quoted_name(key));
      ++entries_;
      add_view(*root, "tensor");
      archive.metadata["stored_as"] = views_.begin()->second[0].format->dtype;
    } else {
      collect(*choose(key, archive), "", 0);
    }
    CHECK(entries_ > 0, zip_.path(), ": holds no tensors");
    for (const auto& [storage, views] : views_) {
      const std::string bytes = zip_.read(folder_ + "data/" + storage);
      for (const View& v : views) {
        Tensor x = Tensor::empty(v.shape, v.format->result);
        v.format->gather(bytes.data(), v, x);
        CHECK(archive.tensors.emplace(v.name, x).second, zip_.path(), ": has two tensors ",
              quoted_name(v.name));
      }
    }
    strip_module(archive);
    return archive;
  }

 private:
  std::string find_folder() {
    std::string found;
    for (const std::string& name : zip_.names()) {
      const size_t slash = name.find('/');
      if (slash == std::string::npos || name.substr(slash) != "/data.pkl") continue;
      CHECK(!zip_.has(name.substr(0, slash) + "/constants.pkl"), zip_.path(),
            ": is a TorchScript program; rmt reads weights: save its state_dict() with torch.save");
      found = name.substr(0, slash + 1);
    }
    CHECK(
        !found.empty(), zip_.path(),
        ": is a zip file without a data.pkl, so no file of torch.save; give the .pth file itself");
    return found;
  }

  // The dictionary to take, noted in the metadata.
  const PyValue* choose(const std::string& key, Archive& archive) {
    const PyValue* root = pickle_.root;
    CHECK(root->kind == PyValue::dict, zip_.path(), ": holds a ", name_of(root->kind),
          ", neither a dictionary of tensors nor a tensor; save model.state_dict()");
    const PyValue* chosen = nullptr;
    std::string& from = archive.metadata["taken_from"];
    std::vector<std::string> keys{"model_ema", "model", "state_dict"};
    if (!key.empty() && !among(keys, key)) keys.push_back(key);
    for (const std::string& k : keys) {
      const PyValue* value = root->find(k);
      if (!value || value->kind != PyValue::dict || value->items.empty()) continue;
      if (key.empty() ? !chosen : k == key) {
        chosen = value;
        from = k;
      } else {
        archive.metadata["beside"] += (archive.metadata["beside"].empty() ? "" : ", ") + k;
      }
    }
    CHECK(key.empty() || chosen, zip_.path(), ": has no dictionary ", quoted_name(key),
          " in it; its entries are ", entries_of(*root));
    return chosen ? chosen : root;
  }
  static std::string entries_of(const PyValue& dict) {
    std::string out;
    for (size_t i = 0; i + 1 < dict.items.size() && i < 20; i += 2)
      out += (i ? ", " : "") + quoted_name(dict.items[i]->string);
    return out + (dict.items.size() > 20 ? ", ..." : "");
  }

  void collect(const PyValue& dict, const std::string& prefix, size_t depth) {
    CHECK(depth < kMaxDepth, zip_.path(), ": nests dictionaries more than ", kMaxDepth, " deep");
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      const PyValue &key = *dict.items[i], &value = *dict.items[i + 1];
      CHECK(++entries_ <= kMaxEntries, zip_.path(), ": has more than ", kMaxEntries, " entries");
      CHECK(key.kind == PyValue::text && !key.string.empty() && key.string.size() <= 1024,
            zip_.path(), ": below ", quoted_name(prefix),
            " it names an entry by something else than a text of 1 to 1024 bytes (",
            name_of(key.kind), "), so this is no state_dict");
      const std::string name = prefix + key.string;
      CHECK(name.size() <= 1024, zip_.path(), ": names an entry by more than 1024 bytes, ",
            quoted_name(name));
      if (value.kind == PyValue::dict)
        collect(value, name + ".", depth + 1);
      else
        add_view(value, name);
    }
  }

  [[noreturn]] void refuse(const std::string& name, const std::string& reason) const {
    throw Error(str(zip_.path(), ": ", quoted_name(name), " ", reason));
  }

  // A parameter is a call whose first argument is a tensor.
  static const PyValue* inside_parameter(const PyValue* value) {
    while (value->kind == PyValue::call && among(kParameter, value->callee->string) &&
           !value->argument->items.empty())
      value = value->argument->items[0];
    return value;
  }
  static bool is_tensor(const PyValue& value) {
    const PyValue* inside = inside_parameter(&value);
    return inside->calls(kTensor2) || inside->calls(kTensor3);
  }

  // A tensor is a call of
  //   _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata])
  // or of _v3, which has a dtype after the hooks.
  void add_view(const PyValue& value, const std::string& name) {
    const PyValue* tensor = inside_parameter(&value);
    const bool v3 = tensor->calls(kTensor3);
    if (!v3 && !tensor->calls(kTensor2)) {
      const std::string what =
          tensor->kind == PyValue::call ? tensor->callee->string : name_of(tensor->kind);
      refuse(name, "is no tensor (" + what +
                       "); where the weights stand under an entry of their own, name that entry, "
                       "else save model.state_dict() alone");
    }
    const std::vector<PyValue*>& a = tensor->argument->items;
    const size_t plain = v3 ? 7 : 6;
    if (a.size() < plain || a.size() > plain + 1)
      refuse(name, str("is made from ", a.size(), " values, expected ", plain));
    if (a.size() > plain && !(a[plain]->kind == PyValue::none ||
                              (a[plain]->kind == PyValue::dict && a[plain]->items.empty())))
      refuse(name, "is a conjugated or negated view; save it with .resolve_neg().clone()");
    const Storage storage = storage_of(*a[0], name);
    View v{name, {}, natural(*a[1], name), {}, format_of(storage, v3 ? a[6] : nullptr, name)};
    if (a[2]->kind != PyValue::tuple || a[3]->kind != PyValue::tuple ||
        a[2]->items.size() != a[3]->items.size() || a[2]->items.size() > Shape::max_rank)
      refuse(name, str("has ", a[2]->items.size(), " sizes and ", a[3]->items.size(),
                       " strides; expected as many, at most ", Shape::max_rank));
    for (const PyValue* size : a[2]->items) v.shape.push_back(int64_t(natural(*size, name)));
    for (const PyValue* stride : a[3]->items) v.strides.push_back(natural(*stride, name));
    check_extent(v, storage);
    views_[storage.key].push_back(std::move(v));
  }

  // A storage is a persistent id, the tuple ("storage", type, key, device, elements).
  Storage storage_of(const PyValue& value, const std::string& name) const {
    const PyValue* id = value.kind == PyValue::persistent ? value.argument : nullptr;
    if (!id || id->kind != PyValue::tuple || id->items.size() != 5 ||
        id->items[0]->string != "storage" || id->items[1]->kind != PyValue::global ||
        id->items[2]->kind != PyValue::text)
      refuse(name, "has no storage");
    return {id->items[2]->string, natural(*id->items[4], name), &id->items[1]->string};
  }
  const Format* format_of(const Storage& storage, const PyValue* dtype,
                          const std::string& name) const {
    const bool untyped = among(kUntyped, *storage.type);
    const std::string& wanted = dtype ? dtype->string : *storage.type;
    for (const Format& f : kFormats)
      if (dtype ? untyped && wanted == f.dtype : wanted == f.storage) return &f;
    refuse(name, "is of type " + wanted +
                     "; rmt reads floats of 16, 32 and 64 bits, signed integers, bytes and truth "
                     "values: convert it in PyTorch");
  }

  uint64_t natural(const PyValue& value, const std::string& name) const {
    if (value.kind != PyValue::integer || value.number < 0 || value.number > int64_t(1) << 53)
      refuse(name, "has a size, stride or offset that is none");
    return uint64_t(value.number);
  }

  // The last element, offset + sum of (size - 1) stride, must lie in the storage, and the storage
  // in the file.
  void check_extent(const View& v, const Storage& storage) {
    const std::string entry = folder_ + "data/" + storage.key;
    if (!zip_.has(entry))
      refuse(v.name,
             "lies in the storage " + quoted_name(storage.key) + ", which the file does not hold");
    const uint64_t bytes = zip_.size(entry),
                   element = among(kUntyped, *storage.type) ? 1 : v.format->bytes;
    if (bytes / element != storage.elements || bytes % element != 0)
      refuse(v.name, str("lies in a storage of ", storage.elements, " elements of ", element,
                         " bytes, the file has ", bytes, " bytes of it"));
    uint64_t last = v.offset, count = 1;
    bool overflow = false, empty = false;
    for (int i = 0; i < v.shape.rank(); ++i) {
      const uint64_t size = uint64_t(v.shape[i]);
      uint64_t step = 0;
      empty |= size == 0;
      overflow |=
          __builtin_mul_overflow(std::max<uint64_t>(size, 1) - 1, v.strides[size_t(i)], &step) ||
          __builtin_add_overflow(last, step, &last);
      overflow |= __builtin_mul_overflow(count, std::max<uint64_t>(size, 1), &count) ||
                  count > uint64_t(1) << 53;
    }
    if (overflow || (!empty && last >= bytes / v.format->bytes))
      refuse(v.name, str("reaches beyond its storage of ", bytes, " bytes"));
    grown_ += std::max<uint64_t>(empty ? 0 : count * size_of(v.format->result),
                                 views_.count(storage.key) ? 0 : bytes);
    if (grown_ > kMaxGrowth * (zip_.file_size() + 65536))
      refuse(v.name, str("and those before it are more than ", kMaxGrowth,
                         " times as large as the file; save them with .contiguous()"));
  }

  // DistributedDataParallel puts "module." before every name.
  static void strip_module(Archive& archive) {
    const std::string prefix = "module.";
    for (const auto& [name, x] : archive.tensors)
      if (!name.starts_with(prefix) || name == prefix) return;
    std::map<std::string, Tensor> bare;
    for (const auto& [name, x] : archive.tensors) bare[name.substr(prefix.size())] = x;
    archive.tensors = std::move(bare);
  }

  ZipFile zip_;
  std::string folder_;
  Pickle pickle_;
  std::map<std::string, std::vector<View>> views_;  // by the storage's key
  size_t entries_ = 0;
  uint64_t grown_ = 0;  // bytes
};

}  // namespace

Archive read_pth(const std::string& path, const std::string& key) { return Reader(path).read(key); }

Archive read_weights(const std::string& path, const std::string& key) {
  const InputFile file(path);
  std::string start(std::min<size_t>(file.size(), 4), '\0');
  file.read(start.data(), start.size(), 0);
  if (start == "PK\3\4") return read_pth(path, key);
  // PyTorch before 1.6 wrote pickles one after the other, the first a magic number of 10 bytes:
  // protocol 2, LONG1, 10.
  CHECK(start != "\x80\x02\x8a\x0a", path,
        ": is in the format of PyTorch before 1.6, which rmt does not read; in PyTorch: "
        "torch.save(torch.load(\"",
        path, "\", map_location=\"cpu\", weights_only=False), \"new.pth\"), if you trust the file");
  CHECK(key.empty(), path,
        ": is a safetensors file, which has no entries to choose from; leave out the name ",
        quoted_name(key));
  return read_safetensors(path);
}

}  // namespace rmt::train
