#include "train/part_sums.h"

#include "autograd/tape.h"
#include "core/cuda/device.h"
#include "core/cuda/graph.h"

namespace rmt::train {
namespace gpu {
void add_part(const Addition* table, const Chunk* chunks, int64_t chunk_count);  // part_sums.cu
}  // namespace gpu

PartSums::PartSums(const std::vector<Tensor*>& parameters, const std::vector<Tensor>& sums,
                   int64_t parts)
    : parameters_(parameters), sums_(sums), has_(parameters.size()), changed_(size_t(parts), true) {
  std::vector<gpu::Addition> table;
  std::vector<int64_t> numel;
  for (size_t i = 0; i < sums.size(); ++i) {
    const Tensor& p = *parameters[i];
    CHECK(p.dtype() == DType::f32 && p.device() == Device::cuda && sums[i].shape() == p.shape(),
          "sums of gradients: a parameter is ", p.dtype(), " ", p.shape(), " on ", p.device(),
          ", its sum ", sums[i].shape(), "; f32 on a GPU is expected");
    table.push_back({static_cast<float*>(sums[i].raw()), nullptr, p.numel(), true});
    numel.push_back(p.numel());
  }
  tables_.assign(size_t(parts), table);
  const std::vector<gpu::Chunk> chunks = gpu::chunks_of(numel);
  chunk_count_ = int64_t(chunks.size());
  auto place = [](size_t bytes) { return std::make_unique<Storage>(bytes, Device::cuda); };
  chunks_there_ = place(chunks.size() * sizeof chunks[0]);
  tables_there_ = place(tables_.size() * table.size() * sizeof table[0]);
  cuda::copy(chunks_there_->data(), Device::cuda, chunks.data(), Device::cpu,
             chunks.size() * sizeof chunks[0]);
}

const gpu::Addition* PartSums::table_on_gpu(size_t part) const {
  return static_cast<const gpu::Addition*>(tables_there_->data()) + part * sums_.size();
}

void PartSums::add(int64_t part) {
  CHECK(part >= 0 && part < int64_t(tables_.size()), "sums of gradients: part ", part, " of ",
        tables_.size());
  const size_t k = size_t(part);
  for (size_t i = 0; i < sums_.size(); ++i) {
    gpu::Addition& a = tables_[k][i];
    const auto* gradient = static_cast<const float*>(grad(*parameters_[i]).raw());
    const bool first = part == 0 || !has_[i];
    changed_[k] = changed_[k] || a.gradient != gradient || a.first != first;
    a.gradient = gradient;
    a.first = first;
    has_[i] = !first || gradient;
  }
  if (!cuda::recording()) send_tables();
  gpu::add_part(table_on_gpu(k), static_cast<const gpu::Chunk*>(chunks_there_->data()),
                chunk_count_);
  for (Tensor* p : parameters_) clear_grad(*p);
}

void PartSums::send_tables() {
  for (size_t k = 0; k < tables_.size(); ++k) {
    if (!changed_[k]) continue;
    changed_[k] = false;
    cuda::copy(const_cast<gpu::Addition*>(table_on_gpu(k)), Device::cuda, tables_[k].data(),
               Device::cpu, tables_[k].size() * sizeof tables_[k][0]);
  }
}

}  // namespace rmt::train
