#include "core/cuda/emulator/notes.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/cuda/emulator/device_memory.h"
#include "core/cuda/emulator/streams.h"

namespace rmt::emulator {
namespace {

std::vector<Note>* notes = nullptr;

uint64_t address(const void* p) { return reinterpret_cast<uintptr_t>(p); }

// Sorted, and those that overlap or touch made one.
std::vector<Range> united(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::vector<Range> all;
  for (const Range& r : ranges)
    if (!all.empty() && r.begin <= all.back().end)
      all.back().end = std::max(all.back().end, r.end);
    else
      all.push_back(r);
  return all;
}

// From p to the end of the block that it points into; nothing where it points into none.
void add_block(const void* p, std::vector<Range>& ranges) {
  if (const size_t n = memory.bytes_from(p)) ranges.push_back({address(p), address(p) + n});
}

}  // namespace

std::vector<Note>* take_notes(std::vector<Note>* to) {
  Lock lock(api);
  return std::exchange(notes, to);
}
bool taking_notes() { return notes != nullptr; }

void note_launch(const char* name, const void* kernel, dim3 grid, dim3 block, size_t shared,
                 std::initializer_list<Argument> arguments) {
  Lock lock(api);
  if (!notes) return;
  Note note{.name = name, .kernel = kernel, .grid = grid, .block = block, .shared = shared};
  for (const Argument& a : arguments) {
    const size_t at = (note.arguments.size() + a.alignment - 1) / a.alignment * a.alignment;
    note.arguments.resize(at + a.bytes);
    std::memcpy(note.arguments.data() + at, a.at, a.bytes);
  }
  // A pointer in a struct lies at a multiple of 8 bytes, too.
  for (size_t at = 0; at + 8 <= note.arguments.size(); at += 8) {
    void* word;
    std::memcpy(&word, note.arguments.data() + at, 8);
    add_block(word, note.memory);
  }
  note.memory = united(std::move(note.memory));
  notes->push_back(std::move(note));
}

void note_product(const Product& product, std::initializer_list<const void*> pointers) {
  Lock lock(api);
  if (!notes) return;
  Note note{.name = "multiply", .product = product};
  for (const void* p : pointers) add_block(p, note.memory);
  note.memory = united(std::move(note.memory));
  notes->push_back(std::move(note));
}

void note_copy(const char* name, const void* p, const void* q, size_t bytes) {
  Lock lock(api);
  if (!notes || bytes == 0) return;
  Note note{.name = name};
  for (const void* at : {p, q})
    if (at && memory.owns(at)) note.memory.push_back({address(at), address(at) + bytes});
  notes->push_back(std::move(note));
}

}  // namespace rmt::emulator
