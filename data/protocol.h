// Which events of a data set are for training and which are to be predicted, as a pure function of
// lengths, times and options: every reader of a data set asks here, so that nobody trains on, or
// counts, what another one tests. Reads no items.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace seqrank {

const char* split_name(Split split);

// L is the length of a sequence, counted from event 0; S the number of sequences.
//   p1        leave one out: event L-1 is the test target, L-2 the validation target where L >= 3;
//             a shorter sequence is for training only
//   temporal  one cut in time for everybody: events before the first cut are for training, from the
//             second on for the test, those between for validation
//   session   whole sequences, as the data set says; where it says of none that it is for
//             validation, the last 1/20 of those for training are. A data set that says nothing: in
//             file order, the last S/10 are for the test, the S/10 before for validation. Every
//             event but a sequence's first is a target, or where the data set says so the last
//   ctr       of each sequence, the last L/10 events are for the test, the L/10 before for
//             validation (rounded down: below 10 events all are for training)
enum class ProtocolKind { p1, temporal, session, ctr };
const char* protocol_name(ProtocolKind kind);
ProtocolKind protocol_from_name(const std::string& name);  // one of the names above

struct ProtocolOptions {
  ProtocolKind kind = ProtocolKind::p1;
  // Of temporal: the cuts in seconds; where one is absent, it lies where the share of the events
  // from it on is as said (more, where many have the time of the cut).
  std::optional<std::int64_t> validation_from = {}, test_from = {};
  double validation_share = 0.1, test_share = 0.1;
};

// Events [begin, end) of a sequence, counted from its first.
struct EventRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t count() const { return end - begin; }
};

class Protocol {
 public:
  // `dataset` must live as long. temporal reads all its times, some times over, and keeps 8 bytes a
  // sequence. Throws Error(data) where there are no times, Error(usage) for cuts in false order.
  explicit Protocol(const Dataset& dataset, const ProtocolOptions& options = {});
  const Dataset& dataset() const { return *dataset_; }
  ProtocolKind kind() const { return kind_; }
  std::int64_t cut() const { return cut_; }  // of temporal: training is before this time

  // Events of a sequence that training may read: its first ones.
  std::int64_t training_events(std::int64_t sequence) const;
  // Events of a sequence that are to be predicted, each from the events before it; never its first.
  EventRange targets(Split split, std::int64_t sequence) const;

 private:
  EventRange range(Split split, std::int64_t sequence) const;  // the first event included
  void cut_in_time(const ProtocolOptions& options);
  void take_from_training();
  Split split_of(std::int64_t sequence) const;

  const Dataset* dataset_;
  ProtocolKind kind_;
  std::int64_t cut_ = 0;
  // Of session: from this sequence on, those for training are for validation instead.
  std::int64_t training_ends_ = std::numeric_limits<std::int64_t>::max();
  // Of temporal: events of each sequence before the first cut, and before the second.
  std::shared_ptr<const std::vector<std::int32_t>> before_validation_, before_test_;
};

}  // namespace seqrank
