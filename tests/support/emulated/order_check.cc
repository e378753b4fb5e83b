// A happens-before check over declared accesses (order_check.h).
#include "tests/support/emulated/order_check.h"

#include <fmt/core.h>

#include <algorithm>

namespace seqrank::emu {

void Clock::join(const Clock& other) {
  if (ticks_.size() < other.ticks_.size()) ticks_.resize(other.ticks_.size());
  for (std::size_t i = 0; i < other.ticks_.size(); ++i) {
    ticks_[i] = std::max(ticks_[i], other.ticks_[i]);
  }
}

void Clock::advance(std::size_t actor) {
  if (ticks_.size() <= actor) ticks_.resize(actor + 1);
  ++ticks_[actor];
}

std::size_t OrderCheck::new_actor(std::string name) {
  actors_.push_back({std::move(name), {}});
  return actors_.size() - 1;
}

std::string OrderCheck::touch(std::size_t actor, const std::string& what, std::uintptr_t allocation,
                              std::uintptr_t begin, std::uintptr_t end, cuda::Mode mode) {
  const Clock& now = actors_[actor].clock;
  const bool writes = mode != cuda::Mode::read;
  std::vector<Touch>& touches = history_[allocation];
  const auto conflict = std::ranges::find_if(touches, [&](const Touch& t) {
    const bool overlap = t.begin < end && begin < t.end;
    return overlap && (writes || t.writes) && t.tick > now.at(t.actor);
  });
  std::string message;
  if (conflict != touches.end()) {
    const Touch& t = *conflict;
    message = fmt::format("{} on '{}' {} {} bytes that {} on '{}' {}, and nothing orders the two",
                          what, actors_[actor].name, writes ? "writes" : "reads",
                          std::min(end, t.end) - std::max(begin, t.begin), t.what,
                          actors_[t.actor].name, t.writes ? "writes" : "reads");
  }
  // What lies within this touch and comes before it can no longer be the first to conflict.
  std::erase_if(touches, [&](const Touch& t) {
    const bool within = begin <= t.begin && t.end <= end;
    return within && t.tick <= now.at(t.actor) && (writes || (!t.writes && t.actor == actor));
  });
  touches.push_back({begin, end, writes, actor, now.at(actor), what});
  return message;
}

}  // namespace seqrank::emu
