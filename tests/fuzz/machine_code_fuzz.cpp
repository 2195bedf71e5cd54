// Any text where nvdisasm's is expected: it is read, and what is a kernel is walked through.
#include "core/cuda/model/thread.h"
#include "tests/fuzz/fuzz.h"

using namespace rmt;

FUZZ(machine_code) {
  const std::string text(data, data + size);
  fuzz::result_or_error("", [&] {
    const std::vector<unsigned char> arguments(24, 1);
    int walked = 0;
    for (const auto& [name, kernel] : gpu_model::read_machine_code(text))
      if (kernel.code.size() < 100 && walked++ < 2) gpu_model::walk(kernel, {}, arguments);
    gpu_model::short_name(text);
  });
}
