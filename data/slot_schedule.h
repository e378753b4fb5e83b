// Session-parallel training (Hidasi et al., ICLR 2016): which slot of a batch reads what at which
// step, as a pure function of lengths, seed and step. Reads no items and knows no ranks but for the
// range of slots that one has.
//
// The sessions of an epoch lie end to end in the epoch's order, each cut into parts of at most so
// many inputs as a step reads of it. Slot s has the s-th of equal stretches of this line, a part a
// step: where a session ends, it goes on with the next. Two slots share a session that lies across
// the end of a stretch; the second begins it anew.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>

#include "data/protocol.h"
#include "data/sample_order.h"
#include "data/sequence_counts.h"
#include "data/windows.h"

namespace seqrank {

// Neighbouring slots go to one rank.
SlotRange slot_range(std::int64_t slots, int rank, int world);

class SlotSchedule {
 public:
  // The protocol's data set must live as long. `events`: inputs of a session a step.
  SlotSchedule(const Protocol& protocol, std::uint64_t seed, std::int64_t slots,
               std::int64_t events);
  SlotSchedule(const SlotSchedule&) = delete;
  SlotSchedule& operator=(const SlotSchedule&) = delete;
  std::int64_t parts() const { return parts_; }  // of an epoch
  std::int64_t steps_per_epoch() const { return (parts_ + slots_ - 1) / slots_; }

  struct Part {
    Window window;       // the inputs; their targets are one event further on
    bool begins;         // nothing before it is known to the slot
    std::int64_t place;  // in the line of all epochs
  };
  // Nothing where the slot's stretch has ended. Keeps the order of the epoch asked for last.
  // Thread-safe.
  std::optional<Part> at(std::int64_t epoch, std::int64_t step, std::int64_t slot);

 private:
  std::int64_t inputs_of(std::int64_t sequence) const;
  std::int64_t parts_of(std::int64_t sequence) const;
  SequenceCounts line_of(std::int64_t epoch) const;

  const Protocol protocol_;
  const SampleOrder order_;
  const std::int64_t slots_, events_;
  std::mutex mutex_;  // of the two that follow
  std::int64_t epoch_ = 0;
  SequenceCounts line_;  // parts, by place of their session in the order of epoch_
  const std::int64_t parts_;
};

}  // namespace seqrank
