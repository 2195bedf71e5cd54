// The emulated device's memory: one range of addresses, in which each block has a gap on either
// side; and pinned host memory.
//
//     base                                                             base + size
//     | gap | block | gap | block | gap |   free, poisoned   | gap | block | gap ...
#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <utility>

namespace rmt::emulator {

class DeviceMemory {
 public:
  // The first place that is large enough, or null. Fresh: NaN.
  void* take(size_t bytes);
  // False when `block` is none. *damage: what was written beside it, or "".
  bool give(void* block, std::string* damage);
  // What was written beside any block, or "".
  std::string damage();

  // Does p point into the device's range of addresses?
  bool owns(const void* p) const { return base_ && p >= base_ && p < base_ + size_; }
  // Do the n bytes from p on lie inside one live block?
  bool contains(const void* p, size_t n) const;
  // How many bytes there are from p to the end of the live block that p points into; 0 for none.
  size_t bytes_from(const void* p) const;

  size_t size();  // bytes, as Settings::device_memory has it
  size_t used() const { return used_; }

  // While one lives, the memory can be accessed where Settings::lock_memory else forbids it.
  struct Access {
    Access();
    ~Access();
  };

 private:
  using Block = std::pair<char* const, size_t>;  // address, bytes

  void reserve();
  std::string damage_of(const Block& block);

  char* base_ = nullptr;
  char* poisoned_ = nullptr;  // ASan knows the range up to here
  size_t size_ = 0, used_ = 0;
  std::map<char*, size_t> blocks_;
  int open_ = 0;  // Accesses that live
  bool locked_ = false;
};

extern DeviceMemory& memory;
using Access = DeviceMemory::Access;

// Memory of cudaMallocHost.
extern std::map<const char*, size_t>& pinned;
bool is_pinned(const void* p, size_t n);

}  // namespace rmt::emulator
