// A heap over ranges of addresses that it is given and never touches, so that it can serve host
// memory (storage.cpp) and the memory of a GPU (cuda/pool.cu) alike.
//
//     range    | used | free 300 | used | free 100 | used |
//
// take(80) cuts 80 bytes off the smallest free block that is large enough, here the one of 100
// (best fit; of equal ones the lowest). give() joins a block with free neighbours, so that no two
// free blocks ever touch.
#pragma once
#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace rmt {

class BlockHeap {
 public:
  // More addresses [p, p + bytes) to hand out. Blocks never reach across two ranges.
  void add_range(void* p, size_t bytes) {
    std::lock_guard lock(mutex_);
    ranges_[static_cast<char*>(p)] = bytes;
    insert(static_cast<char*>(p), bytes);
  }

  // Null when no free block is large enough.
  void* take(size_t bytes) {
    std::lock_guard lock(mutex_);
    auto it = by_size_.lower_bound({bytes, nullptr});
    if (it == by_size_.end()) return nullptr;
    auto [size, p] = *it;
    erase(p, size);
    if (size > bytes) insert(p + bytes, size - bytes);
    return p;
  }

  // `block` came from take(bytes).
  void give(void* block, size_t bytes) {
    std::lock_guard lock(mutex_);
    char* p = static_cast<char*>(block);
    auto next = by_address_.lower_bound(p);
    if (next != by_address_.end() && next->first == p + bytes && !ranges_.count(next->first)) {
      bytes += next->second;
      auto dead = next++;
      erase(dead->first, dead->second);
    }
    if (next != by_address_.begin() && !ranges_.count(p)) {
      auto previous = std::prev(next);
      if (previous->first + previous->second == p) {
        p = previous->first;
        bytes += previous->second;
        erase(previous->first, previous->second);
      }
    }
    insert(p, bytes);
  }

  // Does p lie in a range of this heap?
  bool owns(const void* p) const {
    std::lock_guard lock(mutex_);
    auto it = ranges_.upper_bound(static_cast<char*>(const_cast<void*>(p)));
    if (it == ranges_.begin()) return false;
    --it;
    return p < it->first + it->second;
  }

  // Is no range left?
  bool empty() const {
    std::lock_guard lock(mutex_);
    return ranges_.empty();
  }

  // f(p, bytes) for every range of which nothing is in use; the heap forgets it.
  template <class F>
  void release_ranges(const F& f) {
    std::lock_guard lock(mutex_);
    for (auto it = ranges_.begin(); it != ranges_.end();) {
      auto free = by_address_.find(it->first);
      if (free == by_address_.end() || free->second != it->second) {
        ++it;
        continue;
      }
      f(static_cast<void*>(it->first), it->second);
      erase(it->first, it->second);
      it = ranges_.erase(it);
    }
  }

 private:
  void insert(char* p, size_t n) {
    by_address_[p] = n;
    by_size_.insert({n, p});
  }
  void erase(char* p, size_t n) {
    by_address_.erase(p);
    by_size_.erase({n, p});
  }

  mutable std::mutex mutex_;
  std::map<char*, size_t> ranges_;              // address, bytes
  std::map<char*, size_t> by_address_;          // free blocks
  std::set<std::pair<size_t, char*>> by_size_;  // the same ones, smallest first, then lowest
};

}  // namespace rmt
