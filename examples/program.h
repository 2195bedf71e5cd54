// The frame of the programs: their flags (flags.h), errors as one line on stderr, exit status 0
// done, 1 failed (or stdout did not take all), 2 wrong usage.
#pragma once
#include <functional>
#include <iostream>

#include "core/error.h"
#include "examples/flags.h"
#include "examples/process.h"

namespace rmt {

inline int run_program(const CLI::App& app, const std::function<int()>& body) {
  int status = 1;
  try {
    status = body();
  } catch (const std::exception& e) {
    std::cout.flush();
    std::cerr << app.get_name() << ": " << e.what() << std::endl;
  }
  return end_process(app.get_name(), status);
}

}  // namespace rmt
