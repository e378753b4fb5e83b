// Differences; see training_state.h.
#include "trainer/training_state.h"

#include <fmt/format.h>

namespace seqrank {

constexpr std::size_t kShown = 8;

std::string difference_text(std::span<const Difference> differences) {
  std::vector<std::string> parts;
  std::size_t tensors = 0, more = 0;
  std::string tensor;
  for (const Difference& row : differences) {
    const std::string part = fmt::format("{}: {} saved, {} now", row.what, row.saved, row.now);
    if (row.of == Difference::Of::tensor) {
      if (++tensors == 1) tensor = part;
    } else if (parts.size() < kShown) {
      parts.push_back(part);
    } else {
      ++more;
    }
  }
  if (more > 0) parts.push_back(fmt::format("and {} more", more));
  if (parts.empty() && tensors > 0) {
    parts.push_back(tensor);
    --tensors;
  }
  if (tensors > 0) parts.push_back(fmt::format("and {} tensor{}", tensors, tensors > 1 ? "s" : ""));
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::vector<Difference> config_differences(const std::map<std::string, std::string>& saved,
                                           const std::map<std::string, std::string>& now,
                                           std::span<const std::string> keys) {
  const auto at = [](const std::map<std::string, std::string>& config, const std::string& key) {
    const auto found = config.find(key);
    return found == config.end() ? std::string("-") : found->second;
  };
  std::vector<Difference> rows;
  for (const std::string& key : keys) {
    const std::string before = at(saved, key), after = at(now, key);
    if (before != after) rows.push_back({key, before, after});
  }
  return rows;
}

}  // namespace seqrank
