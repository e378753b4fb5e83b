// What the two directions of the recurrence share on a CPU: where the steps begin, which sequences
// a thread takes, and rows moved between event order and time-major order.
// A "slot" is a place among the sequences sorted by falling length: slot s of step t stands at row
// start(t) + s of every time-major matrix.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "backend/ops/recurrence.h"

namespace seqrank::cpu {

class TimeMajor {
 public:
  TimeMajor(const PackedOrder& order, int threads);

  std::int64_t steps() const { return static_cast<std::int64_t>(sequences_.size()); }
  std::int64_t sequences() const { return steps() == 0 ? 0 : sequences_[0]; }  // not empty ones
  std::int64_t sequences_at(std::int64_t t) const { return sequences_[t]; }
  std::int64_t start(std::int64_t t) const { return start_[t]; }  // first row of step t

  // Slots of thread i: [first_slot(i), first_slot(i + 1)), with about equally many events each.
  // A thread takes its slots through all steps, so that no step waits for another thread.
  std::int64_t first_slot(int i) const { return first_slot_[i]; }
  // How many of the slots [begin, end) still have an event at step t.
  std::int64_t rows(std::int64_t t, std::int64_t begin, std::int64_t end) const {
    return std::min<std::int64_t>(end, sequences_[t]) - begin;
  }

 private:
  std::span<const std::int32_t> sequences_;
  std::vector<std::int64_t> start_;
  std::vector<std::int64_t> first_slot_;
};

// time_ND[n] = event_ND[order[n]], and back; written.
void to_time_major(Context& ctx, Tensor& time_ND, const Tensor& event_ND, const Tensor& order_N);
void to_event_order(Context& ctx, Tensor& event_ND, const Tensor& time_ND, const Tensor& order_N);

}  // namespace seqrank::cpu
