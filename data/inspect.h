// What is in a data set, as plain numbers: for a person (text) and for a JSON report (the caller
// writes the members). Reads the whole data set once; memory: 8 bytes an item, a sequence and a
// value of a feature.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"

namespace seqrank {

struct DatasetSummary {
  std::string path, fingerprint;
  std::int64_t sequences = 0, items = 0, events = 0;
  std::int64_t items_used = 0;    // that occur at least once
  std::int64_t with_targets = 0;  // sequences that have a validation and a test target
  std::int64_t length_min = 0, length_max = 0;  // events of a sequence
  double length_median = 0, length_mean = 0;
  struct Popular {
    std::int64_t item = 0, count = 0;
    std::string title;
  };
  std::vector<Popular> popular;  // the most frequent items, at most ten
  double head_share = 0;         // of all events, on the most frequent 1 % of items
  std::optional<std::pair<std::int64_t, std::int64_t>> times;  // first and last, seconds
  // Of neighbouring events inside a sequence, the part at equal times: counted here. The file may
  // declare another one ("tie_rate" among the attributes), from before times were dropped.
  std::optional<double> tie_rate;
  std::optional<double> positive;                     // part of the events with label 1
  std::optional<std::array<std::int64_t, 3>> splits;  // training, validation, test sequences
  bool last_targets_only = false;
  struct FeatureSummary {
    std::string name;         // "event.action", "user.age"
    std::int64_t values = 0;  // 0: numbers
    struct Value {
      std::string text;
      double share = 0;  // of the events, sequences or items
    };
    std::vector<Value> frequent;  // the most frequent, at most five
  };
  std::vector<FeatureSummary> features;
  std::map<std::string, double> attributes;
};

DatasetSummary summarise(const Dataset& dataset);
std::string to_text(const DatasetSummary& summary);

}  // namespace seqrank
