// Several processes train one model only if they were started alike. What each says of itself is
// compared before the first step, so that a mistake is an error and not a strange result.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "core/processes/processes.h"

namespace rmt::train {

// Pairs of what is said, "the program", and of what this process says of it. Error in all
// processes, which names the first thing that differs and one process that differs in it. All call
// with the same things.
using Statements = std::vector<std::pair<std::string, std::string>>;
void check_agreement(Processes& processes, const Statements& statements);

// By what equal bytes are known: FNV-1a, 64 bits, 8 bytes at a time.
uint64_t hash_of(const void* bytes, size_t size, uint64_t seed = 0xcbf29ce484222325);

// Of the program itself, and of every tensor.
std::string hash_of_program();
std::string hash_of(const std::vector<Tensor>& tensors);

// Does any process say so?
bool any(Processes& processes, bool here);

}  // namespace rmt::train
