// Finds pairs of operations on the same memory that nothing orders.
//
// On a GPU the order of operations is settled by the host's calls alone: a stream is first in first
// out, an event wait orders what precedes the record before what follows the wait, and a host that
// has waited is ordered after what it waited for. So the check needs no luck with timing: it keeps
// a vector clock for every host thread and stream, and looks at each operation as it is enqueued.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/cuda/access.h"

namespace seqrank::emu {

// Entry i: how far actor i (a host thread or a stream) is known to have come.
class Clock {
 public:
  void join(const Clock& other);
  void advance(std::size_t actor);
  std::uint64_t at(std::size_t actor) const { return actor < ticks_.size() ? ticks_[actor] : 0; }

 private:
  std::vector<std::uint64_t> ticks_;
};

// Not thread-safe: the runtime calls it under its lock.
class OrderCheck {
 public:
  std::size_t new_actor(std::string name);
  void rename(std::size_t actor, std::string name) { actors_[actor].name = std::move(name); }

  // `actor` starts its next operation.
  void advance(std::size_t actor) { actors_[actor].clock.advance(actor); }
  // What `actor` does from now on comes after everything in `clock`.
  void follow(std::size_t actor, const Clock& clock) { actors_[actor].clock.join(clock); }
  const Clock& clock(std::size_t actor) const { return actors_[actor].clock; }

  // `actor`'s present operation touches bytes [begin, end) of `allocation`. Returns what is wrong,
  // or an empty string.
  std::string touch(std::size_t actor, const std::string& what, std::uintptr_t allocation,
                    std::uintptr_t begin, std::uintptr_t end, cuda::Mode mode);
  void forget(std::uintptr_t allocation) { history_.erase(allocation); }

 private:
  struct Actor {
    std::string name;
    Clock clock;
  };
  struct Touch {
    std::uintptr_t begin, end;
    bool writes;
    std::size_t actor;
    std::uint64_t tick;
    std::string what;
  };
  std::vector<Actor> actors_;
  std::unordered_map<std::uintptr_t, std::vector<Touch>> history_;  // by allocation
};

}  // namespace seqrank::emu
