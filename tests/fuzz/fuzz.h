// Fuzzing: any bytes give a result or an rmt::Error that names the file. Nothing else escapes: no
// signal, no other exception, no memory without bound. A target is FUZZ(name) { ... }, a function
// of `const uint8_t* data, size_t size`. `make fuzz TARGET=name` makes of it a program that
// libFuzzer feeds; in the tests it is run over tests/fuzz/corpus/name/ (replay_test.cpp), which
// holds what libFuzzer found worth keeping.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>

#include "core/error.h"
#include "tests/memory_file.h"

namespace rmt::fuzz {

using test::MemoryFile;
using Target = void (*)(const uint8_t* data, size_t size);

#ifdef RMT_FUZZ
#define FUZZ(name)                                                    \
  static void run_##name(const uint8_t* data, size_t size);           \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* d, size_t n) { \
    run_##name(d, n);                                                 \
    return 0;                                                         \
  }                                                                   \
  static void run_##name([[maybe_unused]] const uint8_t* data, [[maybe_unused]] size_t size)
#else
inline std::map<std::string, Target>& targets() {
  static std::map<std::string, Target> all;
  return all;
}
#define FUZZ(name)                                            \
  static void run_##name(const uint8_t* data, size_t size);   \
  [[maybe_unused]] static const bool added_##name =           \
      rmt::fuzz::targets().emplace(#name, run_##name).second; \
  static void run_##name([[maybe_unused]] const uint8_t* data, [[maybe_unused]] size_t size)
#endif

// A folder with one file in it, which lies in memory. Made once and filled anew for each input:
// folders are slow.
class Folder {
 public:
  explicit Folder(const std::string& file) {
    std::string pattern = (std::filesystem::temp_directory_path() / "rmt-fuzz-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) std::abort();
    path_ = pattern;
    std::filesystem::create_symlink("/proc/self/fd/" + std::to_string(fd_), path_ + "/" + file);
  }
  ~Folder() {
    ::close(fd_);
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& with(const std::string& bytes) const {
    if (::ftruncate(fd_, 0) != 0 ||
        ::pwrite(fd_, bytes.data(), bytes.size(), 0) != ssize_t(bytes.size()))
      std::abort();
    return path_;
  }

 private:
  int fd_ = ::memfd_create("fuzz", MFD_CLOEXEC);
  std::string path_;
};

// Runs f; an Error is as good as a result when it begins with the name of what is wrong, written
// out as all errors are. True when there was a result.
template <class F>
bool result_or_error(const std::string& what, const F& f) {
  const std::string name = printable(what);
  try {
    f();
    return true;
  } catch (const Error& e) {
    if (std::string(e.what()).starts_with(name) && std::string(e.what()).size() > name.size() + 2)
      return false;
    std::cerr << "an error that does not begin with " << name << ": " << e.what() << std::endl;
    std::abort();
  }
}

}  // namespace rmt::fuzz
