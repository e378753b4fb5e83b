// A protocol by its name; of temporal its first cut too, which may be later than the one that was
// made for.
#include "data/made_features.h"

#include <algorithm>

#include "backend/check.h"

namespace seqrank {

std::string made_for_attribute(const std::string& feature) {
  return "item." + feature + ".protocol";
}

std::string made_before_attribute(const std::string& feature) {
  return "item." + feature + ".before";
}

void check_made_features(const Protocol& protocol, const BatchNeeds& needs) {
  const Dataset& dataset = protocol.dataset();
  const bool temporal = protocol.kind() == ProtocolKind::temporal;
  for (const Feature& feature : dataset.features(FeatureOf::item)) {
    const auto read = [&](const std::string& column) {
      return column == "item." + feature.name || column == "target." + feature.name;
    };
    const auto made_for = dataset.text_attribute(made_for_attribute(feature.name));
    if (!made_for || std::ranges::none_of(needs.columns, read)) continue;
    const auto before = dataset.attributes().find(made_before_attribute(feature.name));
    const bool in_time = !temporal || (before != dataset.attributes().end() &&
                                       before->second <= static_cast<double>(protocol.cut()));
    const std::string same = protocol_name(protocol.kind());
    SR_CHECK(*made_for == same && in_time, ErrorKind::usage,
             "{0}: items' {1} was made from events that protocol {2}{3} does not leave for "
             "training (made for {4}{5}); prepare the file anew with --data.protocol={2}{6}, or "
             "train without it",
             dataset.path(), feature.name, same,
             temporal ? fmt::format(", from time {} on,", protocol.cut()) : "", *made_for,
             before != dataset.attributes().end()
                 ? fmt::format(" before time {:.0f}", before->second)
                 : "",
             temporal ? fmt::format(" --data.validation_from={}", protocol.cut()) : "");
  }
}

}  // namespace seqrank
