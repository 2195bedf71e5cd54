#include "train/agreement.h"

#include <cstring>

#include "core/files/files.h"

namespace rmt::train {

uint64_t hash_of(const void* bytes, size_t size, uint64_t seed) {
  constexpr uint64_t kPrime = 0x100000001b3;
  const char* p = static_cast<const char*>(bytes);
  uint64_t hash = seed;
  for (; size >= 8; p += 8, size -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    hash = (hash ^ word) * kPrime;
    hash ^= hash >> 29;  // a product moves bits upwards only
  }
  for (; size > 0; ++p, --size) hash = (hash ^ uint8_t(*p)) * kPrime;
  return hash;
}

std::string hash_of_program() {
  const std::string program = read_file("/proc/self/exe", int64_t(1) << 31);
  return std::to_string(hash_of(program.data(), program.size()));
}

std::string hash_of(const std::vector<Tensor>& tensors) {
  uint64_t hash = tensors.size();
  for (const Tensor& x : tensors) {
    const Tensor here = x.to(Device::cpu);
    hash = hash_of(here.raw(), here.nbytes(), hash);
  }
  return std::to_string(hash);
}

void check_agreement(Processes& processes, const Statements& statements) {
  if (processes.size() == 1) return;
  std::vector<int64_t> mine;
  for (const auto& [what, text] : statements)
    mine.push_back(int64_t(hash_of(text.data(), text.size())));
  const int64_t n = int64_t(mine.size());
  const std::vector<int64_t> all =
      processes.all_gather(Tensor::from<int64_t>(mine, {n})).to_vector<int64_t>();  // (size, n)
  for (int64_t i = 0; i < n; ++i)
    for (int64_t r = 1; r < processes.size(); ++r)
      CHECK(all[size_t(r * n + i)] == all[size_t(i)], "process ", r, " has other ",
            statements[size_t(i)].first, " than process 0 of ", processes.size(),
            "; start all with the same program and command, on the same data");
}

bool any(Processes& processes, bool here) {
  if (processes.size() == 1) return here;
  const Tensor count = Tensor::from<int64_t>({int64_t(here)}, {1});
  processes.all_reduce(count);
  return count.item<int64_t>() > 0;
}

}  // namespace rmt::train
