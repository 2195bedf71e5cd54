// Pickles, read without running them. A pickle is a program for a small stack machine (Python's
// pickletools.py lists its instructions), and what makes it dangerous is one of them: call any
// function by its name. Here a call is written down and not made: reading yields a tree of plain
// values in which a call is a node that names its function and holds its arguments. Functions whose
// names the caller does not expect, and instructions that no tensor file needs, are errors that
// name them.
#pragma once
#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace rmt::train {

struct PyValue {
  enum Kind {
    none,
    boolean,
    integer,
    real,
    text,
    bytes,
    tuple,
    list,
    dict,
    global,
    call,
    persistent,
    other
  };
  Kind kind = none;
  int64_t number = 0;           // of a boolean or integer
  double real_number = 0;       // of a real
  std::string string;           // text and bytes; "module name" of a global
  std::vector<PyValue*> items;  // of tuple and list; key, value, key, value, ... of a dict; what a
                                // call was given afterwards
  PyValue* callee = nullptr;    // of a call: its global
  PyValue* argument = nullptr;  // of a call: a tuple; of a persistent id: the id

  // The value under that key of a dict, or null.
  const PyValue* find(const std::string& key) const;
  bool calls(const std::string& name) const { return kind == call && callee->string == name; }
};

const char* name_of(PyValue::Kind kind);

// Owns the values. They refer to each other as Python's objects do, in any way, also in circles.
struct Pickle {
  std::deque<PyValue> values;
  const PyValue* root = nullptr;
};

enum class PyGlobal {
  refused,
  known,
  mapping
};  // mapping: a call of it makes a dict, as collections.OrderedDict does

// `global` says what to think of "module name". Throws Error, beginning with `source`, for anything
// that is not a whole pickle of what is allowed.
Pickle read_pickle(const std::string& bytes, const std::string& source,
                   const std::function<PyGlobal(const std::string&)>& global);

}  // namespace rmt::train
