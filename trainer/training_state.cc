// The table of differences; see training_state.h.
#include "trainer/training_state.h"

#include <fmt/format.h>

#include <algorithm>

namespace seqrank {

std::string difference_table(std::span<const Difference> differences) {
  std::size_t what = 4, saved = 5;
  for (const Difference& row : differences) {
    what = std::max(what, row.what.size());
    saved = std::max(saved, row.saved.size());
  }
  std::string table = fmt::format("  {:<{}}  {:<{}}  {}", "what", what, "saved", saved, "now");
  for (const Difference& row : differences)
    table += fmt::format("\n  {:<{}}  {:<{}}  {}", row.what, what, row.saved, saved, row.now);
  return table;
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
