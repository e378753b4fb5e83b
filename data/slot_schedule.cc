// Arithmetic on lengths.
#include "data/slot_schedule.h"

#include <algorithm>

#include "backend/check.h"

namespace seqrank {

SlotRange slot_range(std::int64_t slots, int rank, int world) {
  return {slots * rank / world, slots * (rank + 1) / world, slots};
}

SlotSchedule::SlotSchedule(const Protocol& protocol, std::uint64_t seed, std::int64_t slots,
                           std::int64_t events)
    : protocol_(protocol),
      order_(seed, protocol.dataset().sequences()),
      slots_(slots),
      events_(events),
      line_(line_of(0)),
      parts_(line_.count()) {
  SR_ASSERT(slots >= 1 && events >= 1, "{} slots of {} events", slots, events);
}

std::int64_t SlotSchedule::inputs_of(std::int64_t sequence) const {
  return protocol_.targets(Split::train, sequence).count();
}

std::int64_t SlotSchedule::parts_of(std::int64_t sequence) const {
  return (inputs_of(sequence) + events_ - 1) / events_;
}

SequenceCounts SlotSchedule::line_of(std::int64_t epoch) const {
  return SequenceCounts(protocol_.dataset().sequences(), [this, epoch](std::int64_t place) {
    return parts_of(order_.sample_at(epoch, place));
  });
}

std::optional<SlotSchedule::Part> SlotSchedule::at(std::int64_t epoch, std::int64_t step,
                                                   std::int64_t slot) {
  SR_ASSERT(0 <= step && step < steps_per_epoch() && 0 <= slot && slot < slots_,
            "step {} of {}, slot {} of {}", step, steps_per_epoch(), slot, slots_);
  const std::lock_guard lock(mutex_);
  if (epoch != epoch_) {
    line_ = line_of(epoch);
    epoch_ = epoch;
  }
  const std::int64_t part = slot * steps_per_epoch() + step;
  if (part >= parts_) return std::nullopt;
  const SequenceCounts::Place place = line_.at(part);
  const std::int64_t sequence = order_.sample_at(epoch, place.sequence);
  const std::int64_t begin = place.inside * events_;
  const std::int64_t events = std::min(events_, inputs_of(sequence) - begin);
  return Part{{sequence, protocol_.dataset().begin(sequence) + begin, events},
              step == 0 || place.inside == 0,
              epoch * parts_ + part};
}

}  // namespace seqrank
