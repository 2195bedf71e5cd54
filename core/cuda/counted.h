// cudaMalloc and cudaFree for the pools, with a count of what they hold: a test can leave them
// little (limits().memory) without taking the device's memory from whoever else uses it.
#pragma once
#include <cstddef>

namespace rmt::cuda {

// Null when the device has not so much, or limits() allows no more.
void* counted_malloc(size_t bytes);
void counted_free(void* p);
// Bytes that all pools hold.
size_t counted_bytes();

}  // namespace rmt::cuda
