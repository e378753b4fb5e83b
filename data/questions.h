// What evaluation asks of a split: which item comes next, after a history. Arithmetic on the
// protocol's ranges; reads no events.
#pragma once

#include <cstdint>

#include "data/protocol.h"
#include "data/sequence_counts.h"

namespace seqrank {

// The target is the event of the file at history_begin + history_events.
struct Question {
  std::int64_t sequence = 0;
  std::int64_t history_begin = 0;   // the first event of the sequence
  std::int64_t history_events = 0;  // at least 1
  std::int64_t following = 1;       // events from the target on that count as what comes next
  std::int64_t target() const { return history_begin + history_events; }
};

// Numbered in file order. One for every target of the split; but protocol temporal asks once a
// sequence, for the first event after the cut, and the other events after it are `following`.
class Questions {
 public:
  // The protocol's data set must live as long. Throws Error(usage) for Split::train.
  Questions(const Protocol& protocol, Split split);
  const Protocol& protocol() const { return protocol_; }
  const Dataset& dataset() const { return protocol_.dataset(); }
  Split split() const { return split_; }
  std::int64_t count() const { return counts_.count(); }
  Question at(std::int64_t question) const;
  // How many are of sequences before this one.
  std::int64_t first_of(std::int64_t sequence) const { return counts_.before(sequence); }

 private:
  Protocol protocol_;
  Split split_;
  SequenceCounts counts_;
};

}  // namespace seqrank
