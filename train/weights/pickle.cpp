#include "train/weights/pickle.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <map>

#include "core/error.h"

namespace rmt::train {
namespace {

// Caps of ours. A tensor takes about 90 bytes and 16 values; rmt_l with its average and optimizer
// has 5,500 tensors, and so 0.5 MB and 85,000 values.
// Each value takes 100 bytes, a place in the memo 50.
constexpr size_t kMaxBytes = 16 << 20, kMaxValues = 1'000'000;

// The instructions that tensor files use, of protocols 2 to 5; all others are refused.
enum Op : uint8_t {
  MARK = '(',
  STOP = '.',
  NONE = 'N',
  BINFLOAT = 'G',
  BININT = 'J',
  BININT1 = 'K',
  BININT2 = 'M',
  BINSTRING = 'T',
  SHORT_BINSTRING = 'U',
  BINUNICODE = 'X',
  BINBYTES = 'B',
  SHORT_BINBYTES = 'C',
  APPEND = 'a',
  APPENDS = 'e',
  BUILD = 'b',
  GLOBAL = 'c',
  DICT_EMPTY = '}',
  LIST_EMPTY = ']',
  TUPLE_EMPTY = ')',
  BINGET = 'h',
  LONG_BINGET = 'j',
  BINPUT = 'q',
  LONG_BINPUT = 'r',
  BINPERSID = 'Q',
  REDUCE = 'R',
  SETITEM = 's',
  SETITEMS = 'u',
  TUPLE = 't',
  PROTO = 0x80,
  NEWOBJ = 0x81,
  TUPLE1 = 0x85,
  TUPLE2 = 0x86,
  TUPLE3 = 0x87,
  NEWTRUE = 0x88,
  NEWFALSE = 0x89,
  LONG1 = 0x8a,
  SHORT_BINUNICODE = 0x8c,
  EMPTY_SET = 0x8f,
  ADDITEMS = 0x90,
  STACK_GLOBAL = 0x93,
  MEMOIZE = 0x94,
  FRAME = 0x95,
};

// The stack machine, as far as it makes values.
class Machine {
 public:
  Machine(const std::string& bytes, const std::string& source,
          const std::function<PyGlobal(const std::string&)>& global)
      : bytes_(bytes), source_(source), global_(global) {}

  Pickle run() {
    if (bytes_.size() > kMaxBytes)
      refuse(str("it has ", bytes_.size(), " bytes, the most is ", kMaxBytes));
    if (byte() != PROTO) refuse("it does not begin with its protocol");
    if (uint8_t protocol = byte(); protocol < 2 || protocol > 5)
      refuse(str("it is of protocol ", int(protocol), ", rmt reads 2 to 5"));
    for (uint8_t op = byte(); op != STOP; op = byte())
      if (!(literal(op) || container(op) || memory(op) || object(op)))
        refuse(str("the instruction ", int(op), " at byte ", at_ - 1,
                   " is none that a file of tensors needs"));
    if (!marks_.empty() || stack_.size() != 1) refuse("it ends with values left over");
    out_.root = pop();
    return std::move(out_);
  }

 private:
  using Kind = PyValue::Kind;

  [[noreturn]] void refuse(const std::string& reason) const {
    throw Error(source_ + ": not a pickle that rmt reads: " + reason);
  }

  // --- the bytes ---
  uint8_t byte() { return uint8_t(raw(1)[0]); }
  const char* raw(uint64_t count) {
    if (count > bytes_.size() - at_) refuse("it is cut short");
    at_ += count;
    return bytes_.data() + at_ - count;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, raw(sizeof value), sizeof value);
    return value;
  }
  std::string characters(uint64_t count) {
    const char* p = raw(count);
    return {p, p + count};
  }
  std::string line() {
    size_t end = bytes_.find('\n', at_);
    if (end == std::string::npos) refuse("it is cut short");
    std::string out = characters(end - at_);
    ++at_;
    return out;
  }

  // --- the stack. A mark is a height of it: what was pushed since belongs together, and is not
  // taken before the mark is ---
  PyValue* push(Kind kind) {
    if (out_.values.size() == kMaxValues) refuse(str("it holds more than ", kMaxValues, " values"));
    out_.values.emplace_back().kind = kind;
    stack_.push_back(&out_.values.back());
    return stack_.back();
  }
  bool has(size_t count) const {
    return stack_.size() - (marks_.empty() ? 0 : marks_.back()) >= count;
  }
  PyValue* top() const {
    if (!has(1)) refuse(str("it takes a value that is not there, at byte ", at_ - 1));
    return stack_.back();
  }
  PyValue* pop() {
    PyValue* value = top();
    stack_.pop_back();
    return value;
  }
  std::vector<PyValue*> pop_to_mark() {
    if (marks_.empty()) refuse(str("it takes a mark that is not there, at byte ", at_ - 1));
    std::vector<PyValue*> values(stack_.begin() + std::ptrdiff_t(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return values;
  }
  std::vector<PyValue*> pop(size_t count) {
    std::vector<PyValue*> values(count);
    while (count > 0) values[--count] = pop();
    return values;
  }

  // --- the instructions, in four families; each function returns false for those of the others ---
  bool literal(uint8_t op) {
    auto integer = [this](int64_t n) { push(Kind::integer)->number = n; };
    auto string = [this](Kind kind, uint64_t count) {
      std::string s = characters(count);
      push(kind)->string = std::move(s);
    };
    switch (op) {
      case NONE: push(Kind::none); return true;
      case NEWTRUE: push(Kind::boolean)->number = 1; return true;
      case NEWFALSE: push(Kind::boolean); return true;
      case BININT: integer(number<int32_t>()); return true;
      case BININT1: integer(byte()); return true;
      case BININT2: integer(number<uint16_t>()); return true;
      case LONG1: long_integer(byte()); return true;
      case BINFLOAT:
        push(Kind::real)->real_number =
            std::bit_cast<double>(__builtin_bswap64(number<uint64_t>()));
        return true;
      case BINUNICODE: string(Kind::text, number<uint32_t>()); return true;
      case SHORT_BINUNICODE: string(Kind::text, byte()); return true;
      case BINSTRING: string(Kind::text, number<uint32_t>()); return true;  // Python 2's str
      case SHORT_BINSTRING: string(Kind::text, byte()); return true;
      case BINBYTES: string(Kind::bytes, number<uint32_t>()); return true;
      case SHORT_BINBYTES: string(Kind::bytes, byte()); return true;
      default: return false;
    }
  }

  // `count` bytes of two's complement, little endian. An integer of more than 64 bits is nothing
  // that a tensor has, and is passed over.
  void long_integer(uint8_t count) {
    const char* p = raw(count);
    if (count > 8) {
      push(Kind::other);
      return;
    }
    uint64_t n = count > 0 && (p[count - 1] & 0x80) ? ~uint64_t(0) : 0;
    std::memcpy(&n, p, count);
    push(Kind::integer)->number = int64_t(n);
  }

  bool container(uint8_t op) {
    switch (op) {
      case MARK:
        marks_.push_back(stack_.size());
        check_height();
        return true;
      case TUPLE_EMPTY: push(Kind::tuple); return true;
      case LIST_EMPTY: push(Kind::list); return true;
      case EMPTY_SET: push(Kind::list); return true;
      case DICT_EMPTY: push(Kind::dict); return true;
      case TUPLE: tuple(pop_to_mark()); return true;
      case TUPLE1: tuple(pop(1)); return true;
      case TUPLE2: tuple(pop(2)); return true;
      case TUPLE3: tuple(pop(3)); return true;
      case APPEND: extend(pop(1), Kind::list); return true;
      case APPENDS:
      case ADDITEMS: extend(pop_to_mark(), Kind::list); return true;
      case SETITEM: extend(pop(2), Kind::dict); return true;
      case SETITEMS: extend(pop_to_mark(), Kind::dict); return true;
      default: return false;
    }
  }
  void tuple(std::vector<PyValue*> items) { push(Kind::tuple)->items = std::move(items); }
  // What a call makes can be a list or a dict too (a defaultdict is): it keeps what it is given.
  void extend(const std::vector<PyValue*>& items, Kind kind) {
    PyValue* to = top();
    if ((to->kind != kind && to->kind != Kind::call) ||
        (kind == Kind::dict && items.size() % 2 != 0))
      refuse(
          str("it adds ", items.size(), " values to a ", name_of(to->kind), ", at byte ", at_ - 1));
    to->items.insert(to->items.end(), items.begin(), items.end());
  }

  bool memory(uint8_t op) {
    switch (op) {
      case PROTO: byte(); return true;
      case FRAME: number<uint64_t>(); return true;
      case BINPUT: keep(byte()); return true;
      case LONG_BINPUT: keep(number<uint32_t>()); return true;
      case MEMOIZE: keep(uint32_t(memo_.size())); return true;
      case BINGET: get(byte()); return true;
      case LONG_BINGET: get(number<uint32_t>()); return true;
      default: return false;
    }
  }
  void keep(uint32_t place) {
    memo_[place] = top();
    if (memo_.size() > kMaxValues) refuse(str("it keeps more than ", kMaxValues, " values"));
  }
  void get(uint32_t place) {
    auto it = memo_.find(place);
    if (it == memo_.end()) refuse(str("it recalls the value ", place, ", which it never kept"));
    stack_.push_back(it->second);
    check_height();
  }
  void check_height() const {
    if (stack_.size() + marks_.size() > kMaxValues)
      refuse(str("it stacks more than ", kMaxValues, " values"));
  }

  bool object(uint8_t op) {
    switch (op) {
      case GLOBAL: {
        std::string module = line(), name = line();
        global(module, name);
        return true;
      }
      case STACK_GLOBAL: {
        const PyValue *name = pop(), *module = pop();
        if (name->kind != Kind::text || module->kind != Kind::text)
          refuse("it names a function by something that is no text");
        global(module->string, name->string);
        return true;
      }
      case REDUCE:
      case NEWOBJ: {
        PyValue *argument = pop(), *callee = pop();
        call(callee, argument);
        return true;
      }
      // Sets attributes: of a state_dict its versions, of a Namespace its values. No tensor of a
      // model is among them.
      case BUILD: {
        pop();
        top();
        return true;
      }
      case BINPERSID: {
        PyValue* id = pop();
        push(Kind::persistent)->argument = id;
        return true;
      }
      default: return false;
    }
  }
  void global(const std::string& module, const std::string& name) {
    std::string full = module + " " + name;
    if (global_(full) == PyGlobal::refused) {
      for (char& c : full) c = c == ' ' ? '.' : c > 32 && c < 127 ? c : '?';
      throw Error(str(source_, ": calls ", full.substr(0, 200),
                      ", which is not among the functions that files of tensors need, and is "
                      "refused, since a pickle could do anything by it; if you "
                      "trust the file, load it in PyTorch and save its state_dict alone"));
    }
    push(Kind::global)->string = full;
  }
  void call(PyValue* callee, PyValue* argument) {
    if (callee->kind != Kind::global || argument->kind != Kind::tuple)
      refuse(str("it calls a ", name_of(callee->kind), ", at byte ", at_ - 1));
    if (global_(callee->string) == PyGlobal::mapping && argument->items.empty()) {
      push(Kind::dict);
      return;
    }
    PyValue* made = push(Kind::call);
    made->callee = callee;
    made->argument = argument;
  }

  const std::string &bytes_, &source_;
  const std::function<PyGlobal(const std::string&)>& global_;
  size_t at_ = 0;
  Pickle out_;
  std::vector<PyValue*> stack_;
  std::vector<size_t> marks_;
  std::map<uint32_t, PyValue*> memo_;
};

}  // namespace

const PyValue* PyValue::find(const std::string& key) const {
  const PyValue* found = nullptr;  // the last one of that name, as in Python
  for (size_t i = 0; kind == dict && i + 1 < items.size(); i += 2)
    if (items[i]->kind == text && items[i]->string == key) found = items[i + 1];
  return found;
}

const char* name_of(PyValue::Kind kind) {
  static const char* const names[] = {
      "none", "truth value", "integer",  "real number", "text",          "bytes",        "tuple",
      "list", "dictionary",  "function", "object",      "stored object", "large integer"};
  return names[kind];
}

Pickle read_pickle(const std::string& bytes, const std::string& source,
                   const std::function<PyGlobal(const std::string&)>& global) {
  return Machine(bytes, source, global).run();
}

}  // namespace rmt::train
