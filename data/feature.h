// Features of a data set: named columns of its events, its sequences ("users") or its items, each
// of ids (categories) or of numbers. What they mean is for those who name them. data/dataset reads
// them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace seqrank {

enum class FeatureOf { event, user, item };

struct Feature {
  std::string name;
  std::int64_t values = 0;  // ids are in [0, values); 0: numbers
};

// Names that features may have: letters, digits, _ and -, at most 60; those of events not the name
// of another column. Nothing: it may; else why not.
std::optional<std::string> bad_feature_name(FeatureOf of, const std::string& name);

}  // namespace seqrank
