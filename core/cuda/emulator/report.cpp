#include <algorithm>
#include <cstdio>
#include <vector>

#include "core/cuda/emulator/block.h"

namespace rmt::emulator {

std::string in_words(dim3 v) { return str("(", v.x, ", ", v.y, ", ", v.z, ")"); }
std::string in_words(const Site& at) { return str(at.file_name(), ":", at.line()); }
std::string in_words(Set mask) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", mask);
  return text;
}

namespace {

std::string place_of(int i, const Block& block, const Schedule& schedule) {
  const Thread& thread = block.threads[i];
  const Warp& warp = block.warps[i / 32];
  const Set lane = 1u << (i % 32);
  if (!(warp.live & lane)) return "exited";
  if (&thread != block.current && schedule.is_ready(i))
    return thread.fiber ? "can run" : "not begun";
  const std::string place = str("in ", thread.what, " at ", in_words(thread.at));
  for (int g = 0; g < warp.groups; ++g)
    if (warp.group[g].arrived & lane) return str(place, ", mask ", in_words(warp.group[g].mask));
  return place;
}

}  // namespace

std::string block_report(const std::string& headline, const Block& block,
                         const Schedule& schedule) {
  struct Place {
    std::string text, threads;
    int count;
  };
  std::vector<Place> places;
  for (int i = 0; i < block.count; ++i) {
    const std::string text = place_of(i, block, schedule);
    auto p = std::find_if(places.begin(), places.end(),
                          [&](const Place& other) { return other.text == text; });
    if (p == places.end()) p = places.insert(p, {text, "", 0});
    if (p->count++ < 4) p->threads += in_words(block.threads[i].index) + " ";
  }
  std::string report = headline;
  for (const Place& p : places)
    report += str("\n  ", p.count, p.count == 1 ? " thread " : " threads ", p.text, ": ", p.threads,
                  p.count > 4 ? "..." : "");
  return report;
}

}  // namespace rmt::emulator
