#include "core/processes/bytes.h"

#include <algorithm>

namespace rmt {
namespace {

// (bytes) u8 with the text at its beginning.
Tensor tensor_of(const std::string& text, int64_t bytes) {
  const Tensor x = Tensor::zeros({bytes}, DType::u8);
  std::copy_n(text.begin(), std::min(int64_t(text.size()), bytes), x.data<uint8_t>());
  return x;
}

}  // namespace

std::vector<std::string> all_gather(const std::string& text, Processes& processes) {
  const Tensor length = Tensor::from<int64_t>({int64_t(text.size())}, {});
  const std::vector<int64_t> lengths = processes.all_gather(length).to_vector<int64_t>();
  const int64_t most = *std::max_element(lengths.begin(), lengths.end());
  const Tensor all = processes.all_gather(tensor_of(text, most));  // (size, most)
  std::vector<std::string> texts;
  for (size_t r = 0; r < lengths.size(); ++r)
    texts.emplace_back(static_cast<const char*>(all.raw()) + int64_t(r) * most, lengths[r]);
  return texts;
}

std::string broadcast(const std::string& text, Processes& processes, int64_t root) {
  const Tensor length = Tensor::from<int64_t>({int64_t(text.size())}, {});
  processes.broadcast(length, root);
  const Tensor bytes = tensor_of(text, length.item<int64_t>());
  processes.broadcast(bytes, root);
  return std::string(static_cast<const char*>(bytes.raw()), size_t(bytes.numel()));
}

}  // namespace rmt
