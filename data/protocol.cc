// Ranges by arithmetic; cuts in time by counting.
#include "data/protocol.h"

#include <algorithm>
#include <functional>

#include "backend/check.h"

namespace seqrank {
namespace {

constexpr std::int64_t kTimesAtOnce = 1 << 16;
constexpr std::int64_t kBuckets = 1 << 16;

// Of a thing in order of which the first ones are for training.
EventRange part(Split split, std::int64_t validation_begin, std::int64_t test_begin,
                std::int64_t end) {
  switch (split) {
    case Split::train:
      return {0, validation_begin};
    case Split::validation:
      return {validation_begin, test_begin};
    case Split::test:
      return {test_begin, end};
  }
  SR_ASSERT(false, "split {}", static_cast<int>(split));
}

EventRange p1_range(Split split, std::int64_t length) {
  return length >= 3 ? part(split, length - 2, length - 1, length)
                     : part(split, length, length, length);
}

// The last tenth, and the tenth before.
EventRange tenths(Split split, std::int64_t count) {
  const std::int64_t held_back = count / 10;
  return part(split, count - 2 * held_back, count - held_back, count);
}

void for_each_times(const Dataset& dataset,
                    const std::function<void(std::span<const std::int64_t>)>& use) {
  std::vector<std::int64_t> times;
  for (std::int64_t at = 0; at < dataset.events(); at += kTimesAtOnce) {
    times.resize(std::min(kTimesAtOnce, dataset.events() - at));
    dataset.read_times(at, times);
    use(times);
  }
}

// The time of the event that has `rank` events before it, were all sorted by time. Counts in ever
// narrower buckets: no memory for the times.
std::int64_t time_at_rank(const Dataset& dataset, std::int64_t rank) {
  std::int64_t low = std::numeric_limits<std::int64_t>::max();
  std::int64_t high = std::numeric_limits<std::int64_t>::min();
  for_each_times(dataset, [&](std::span<const std::int64_t> times) {
    for (const std::int64_t time : times) low = std::min(low, time), high = std::max(high, time);
  });
  while (low < high) {
    // Unsigned: times of a broken file may span more than an i64 holds.
    const std::uint64_t span = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
    const std::uint64_t width = span / kBuckets + 1;
    std::vector<std::int64_t> count(kBuckets, 0);
    for_each_times(dataset, [&](std::span<const std::int64_t> times) {
      for (const std::int64_t time : times)
        if (time >= low && time <= high)
          ++count[(static_cast<std::uint64_t>(time) - static_cast<std::uint64_t>(low)) / width];
    });
    std::uint64_t bucket = 0;
    for (; rank >= count[bucket]; ++bucket) rank -= count[bucket];
    const std::uint64_t rest = span - bucket * width;
    low = static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + bucket * width);
    high = static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + std::min(rest, width - 1));
  }
  return low;
}

}  // namespace

const char* split_name(Split split) {
  switch (split) {
    case Split::train:
      return "train";
    case Split::validation:
      return "validation";
    case Split::test:
      return "test";
  }
  SR_ASSERT(false, "split {}", static_cast<int>(split));
}

const char* protocol_name(ProtocolKind kind) {
  switch (kind) {
    case ProtocolKind::p1:
      return "p1";
    case ProtocolKind::temporal:
      return "temporal";
    case ProtocolKind::session:
      return "session";
    case ProtocolKind::ctr:
      return "ctr";
  }
  SR_ASSERT(false, "protocol {}", static_cast<int>(kind));
}

ProtocolKind protocol_from_name(const std::string& name) {
  for (const ProtocolKind kind :
       {ProtocolKind::p1, ProtocolKind::temporal, ProtocolKind::session, ProtocolKind::ctr})
    if (name == protocol_name(kind)) return kind;
  SR_ASSERT(false, "protocol {}", name);
}

Protocol::Protocol(const Dataset& dataset, const ProtocolOptions& options)
    : dataset_(&dataset), kind_(options.kind) {
  if (kind_ == ProtocolKind::temporal) cut_in_time(options);
  if (kind_ == ProtocolKind::session && dataset.has_splits()) take_from_training();
}

void Protocol::take_from_training() {
  std::int64_t training = 0, validation = 0;
  for (std::int64_t s = 0; s < dataset_->sequences(); ++s) {
    training += dataset_->split(s) == Split::train;
    validation += dataset_->split(s) == Split::validation;
  }
  if (validation > 0) return;
  std::int64_t wanted = training / 20;
  training_ends_ = dataset_->sequences();
  while (wanted > 0) wanted -= dataset_->split(--training_ends_) == Split::train;
}

void Protocol::cut_in_time(const ProtocolOptions& options) {
  const Dataset& dataset = *dataset_;
  SR_CHECK(dataset.has_times(), ErrorKind::data,
           "{}: has no times, which protocol temporal needs; `seqrank prepare --time` writes them",
           dataset.path());
  SR_CHECK(dataset.events() > 0, ErrorKind::data, "{}: has no events", dataset.path());
  const auto cut = [&](std::optional<std::int64_t> given, double share_before) {
    if (given) return *given;
    const auto events = static_cast<double>(dataset.events());
    const auto rank = static_cast<std::int64_t>(share_before * events);
    return time_at_rank(dataset, std::clamp<std::int64_t>(rank, 0, dataset.events() - 1));
  };
  const std::int64_t test_from = cut(options.test_from, 1 - options.test_share);
  const std::int64_t validation_from =
      cut(options.validation_from, 1 - options.test_share - options.validation_share);
  SR_CHECK(validation_from < test_from, ErrorKind::usage,
           "protocol temporal: validation is from {} on and the test from {} on; the first must be "
           "earlier (--data.validation_from, --data.test_from)",
           validation_from, test_from);

  cut_ = validation_from;
  auto before_validation = std::make_shared<std::vector<std::int32_t>>();
  auto before_test = std::make_shared<std::vector<std::int32_t>>();
  before_validation->reserve(dataset.sequences());
  before_test->reserve(dataset.sequences());
  std::vector<std::int64_t> times;
  for (std::int64_t s = 0; s < dataset.sequences(); ++s) {
    times.resize(dataset.length(s));
    dataset.read_times(dataset.begin(s), times);
    const auto events_before = [&](std::int64_t time) {  // times never fall
      const auto at = std::lower_bound(times.begin(), times.end(), time);
      return static_cast<std::int32_t>(at - times.begin());
    };
    before_validation->push_back(events_before(validation_from));
    before_test->push_back(events_before(test_from));
  }
  before_validation_ = std::move(before_validation);
  before_test_ = std::move(before_test);
}

EventRange Protocol::range(Split split, std::int64_t sequence) const {
  const std::int64_t length = dataset_->length(sequence);
  switch (kind_) {
    case ProtocolKind::p1:
      return p1_range(split, length);
    case ProtocolKind::temporal:
      return part(split, (*before_validation_)[sequence], (*before_test_)[sequence], length);
    case ProtocolKind::session: {
      if (split_of(sequence) != split) return {0, 0};
      const bool last_only = split != Split::train && dataset_->last_targets_only();
      return {last_only && length > 0 ? length - 1 : 0, length};
    }
    case ProtocolKind::ctr:
      return tenths(split, length);
  }
  SR_ASSERT(false, "protocol {}", static_cast<int>(kind_));
}

// Of session.
Split Protocol::split_of(std::int64_t sequence) const {
  if (dataset_->has_splits()) {
    const Split split = dataset_->split(sequence);
    return split == Split::train && sequence >= training_ends_ ? Split::validation : split;
  }
  for (const Split split : {Split::validation, Split::test}) {
    const EventRange sequences = tenths(split, dataset_->sequences());
    if (sequence >= sequences.begin && sequence < sequences.end) return split;
  }
  return Split::train;
}

std::int64_t Protocol::training_events(std::int64_t sequence) const {
  return range(Split::train, sequence).end;
}

EventRange Protocol::targets(Split split, std::int64_t sequence) const {
  const EventRange all = range(split, sequence);
  return {std::min(std::max<std::int64_t>(1, all.begin), all.end), all.end};
}

}  // namespace seqrank
