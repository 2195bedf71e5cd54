// Pickles, read without running them. A pickle is a program for a small stack machine (Python's
// pickletools.py lists its instructions):
//
//   BINUNICODE "bias"   pushes a text            stack: "bias"
//   BININT1 3           pushes a number          stack: "bias", 3
//   SETITEM             puts both into the dict below them
//   GLOBAL "os system"  pushes a function, by its name
//   REDUCE              calls the function below with the tuple on top
//
// The last two make pickles dangerous: whoever runs one runs what its writer wanted. Here a call is
// written down and not made: reading yields a tree of plain values, in which a call is a node that
// names its function and holds its arguments. A function whose name the caller does not expect, and
// an instruction that no tensor file needs, are Errors that name them.
#pragma once
#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace rmt::train {

struct PyValue {
  // persistent: something stored beside the pickle; other: an integer beyond 64 bits.
  // clang-format off
  enum Kind {
    none, boolean, integer, real, text, bytes,
    tuple, list, dict, global, call, persistent, other
  };
  // clang-format on
  Kind kind = none;
  int64_t number = 0;      // of a boolean or integer
  double real_number = 0;  // of a real
  std::string string;      // text and bytes; "module name" of a global
  // Of a tuple or list; of a dict: key, value, key, value, ...; of a call: what the object was
  // given after it was made.
  std::vector<PyValue*> items;
  PyValue* callee = nullptr;    // of a call: its global
  PyValue* argument = nullptr;  // of a call: a tuple; of a persistent: its id

  // The value under that key of a dict, or null.
  const PyValue* find(const std::string& key) const;
  bool calls(const std::string& name) const { return kind == call && callee->string == name; }
};

const char* name_of(PyValue::Kind kind);  // "dictionary", ..., for messages

// Owns the values. They point at each other as Python's objects do, in any way, also in circles.
struct Pickle {
  std::deque<PyValue> values;
  const PyValue* root = nullptr;
};

// mapping: calling it without arguments makes a dict, as collections.OrderedDict does.
enum class PyGlobal { refused, known, mapping };

// `global` says what to think of a function, given as "module name". Error, which begins with
// `source`, for anything that is not a whole pickle of what is allowed.
Pickle read_pickle(const std::string& bytes, const std::string& source,
                   const std::function<PyGlobal(const std::string&)>& global);

}  // namespace rmt::train
