// See time_major.h: steps, shares of threads, and rows between the two orders of events.
#include "backend/cpu/time_major.h"

#include <algorithm>

#include "backend/cpu/parallel.h"

namespace seqrank::cpu {
namespace {

constexpr std::int64_t kGrain = 256;  // rows worth a thread

}  // namespace

TimeMajor::TimeMajor(const PackedOrder& order, int threads) : sequences_(order.sequences_at_T) {
  start_.reserve(sequences_.size() + 1);
  start_.push_back(0);
  for (std::int32_t b : sequences_) start_.push_back(start_.back() + b);

  // Slot s is there in as many steps as have more than s sequences: its length.
  first_slot_.assign(1, 0);
  std::int64_t events = 0, t = steps();
  for (std::int64_t slot = 0; slot < sequences(); ++slot) {
    while (t > 0 && sequences_[t - 1] <= slot) --t;
    events += t;
    const std::int64_t shares = static_cast<std::int64_t>(first_slot_.size());
    if (shares < threads && events * threads >= start_.back() * shares) {
      first_slot_.push_back(slot + 1);
    }
  }
  first_slot_.resize(threads + 1, sequences());
  first_slot_[threads] = sequences();
}

void to_time_major(Context& ctx, Tensor& time_ND, const Tensor& event_ND, const Tensor& order_N) {
  const std::int64_t width = time_ND.dim(1);
  const std::int32_t* order = order_N.data<std::int32_t>();
  float* to = time_ND.data<float>();
  const float* from = event_ND.data<float>();
  parallel_for(ctx, time_ND.dim(0), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      std::copy_n(from + order[n] * width, width, to + n * width);
    }
  });
}

void to_event_order(Context& ctx, Tensor& event_ND, const Tensor& time_ND, const Tensor& order_N) {
  const std::int64_t width = time_ND.dim(1);
  const std::int32_t* order = order_N.data<std::int32_t>();
  float* to = event_ND.data<float>();
  const float* from = time_ND.data<float>();
  parallel_for(ctx, time_ND.dim(0), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      std::copy_n(from + n * width, width, to + order[n] * width);
    }
  });
}

}  // namespace seqrank::cpu
