// Numbers things that sequences have some of each (windows, questions), in file order, and finds
// the sequence of a number. Keeps one number for 64 sequences and asks for the rest.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace seqrank {

class SequenceCounts {
 public:
  // count_of: how many things a sequence has; must always give the same.
  SequenceCounts(std::int64_t sequences, std::function<std::int64_t(std::int64_t)> count_of);
  std::int64_t count() const { return before_.back(); }

  struct Place {
    std::int64_t sequence;
    std::int64_t inside;  // which one of this sequence, from 0
    std::int64_t of;      // how many this sequence has
  };
  Place at(std::int64_t thing) const;
  std::int64_t before(std::int64_t sequence) const;  // things of the sequences before this one

 private:
  std::function<std::int64_t(std::int64_t)> count_of_;
  std::vector<std::int64_t> before_;  // things before sequence 64 i; the last entry: all
};

}  // namespace seqrank
