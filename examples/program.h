// The frame of the programs: their flags (flags.h), errors as one line on stderr, exit status 0
// done, 1 failed, 2 wrong usage.
#pragma once
#include <functional>
#include <iostream>

#include "core/error.h"
#include "examples/flags.h"

namespace rmt {

inline int run_program(const CLI::App& app, const std::function<int()>& body) {
  try {
    return body();
  } catch (const std::exception& e) {
    std::cerr << app.get_name() << ": " << e.what() << std::endl;
    return 1;
  }
}

}  // namespace rmt
