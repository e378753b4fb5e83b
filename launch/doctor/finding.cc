// Sentences are put together here, and only here, so that all findings read alike.
#include "launch/doctor/finding.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "launch/output.h"

namespace seqrank {
namespace {

constexpr std::size_t kHostsNamed = 3;
constexpr std::size_t kRangesNamed = 6;

std::string rank_words(const std::vector<int>& ranks) {
  return fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", ranges(ranks));
}

}  // namespace

std::string severity_word(Severity severity) {
  switch (severity) {
    case Severity::note:
      return "note";
    case Severity::warning:
      return "warning";
    case Severity::error:
      return "error";
  }
  return "";
}

std::string to_line(const Finding& finding, const std::vector<Seat>& seats) {
  std::string line = finding.what;
  if (seats.size() > 1) line += fmt::format(" ({})", where_words(finding.ranks, seats));
  if (!finding.advice.empty()) line += "; " + finding.advice;
  return one_line(line);
}

int exit_code(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    if (finding.severity == Severity::error) return static_cast<int>(finding.kind);
  }
  return 0;
}

std::vector<Finding> merged(const std::vector<Finding>& findings) {
  std::vector<Finding> result;
  for (const Finding& finding : findings) {
    const auto same = std::find_if(result.begin(), result.end(), [&](const Finding& other) {
      return other.name == finding.name && other.what == finding.what &&
             other.advice == finding.advice;
    });
    if (same == result.end()) {
      result.push_back(finding);
      continue;
    }
    std::vector<int> both;
    std::set_union(same->ranks.begin(), same->ranks.end(), finding.ranks.begin(),
                   finding.ranks.end(), std::back_inserter(both));
    same->ranks = std::move(both);
  }
  return result;
}

std::string count(std::size_t n, const std::string& thing) {
  return fmt::format("{} {}{}", n, thing, n == 1 ? "" : "s");
}

std::vector<int> all_of(std::size_t ranks) {
  std::vector<int> all(ranks);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

std::string ranges(const std::vector<int>& rising) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < rising.size();) {
    std::size_t end = begin + 1;
    while (end < rising.size() && rising[end] == rising[end - 1] + 1) ++end;
    parts.push_back(end - begin == 1 ? fmt::to_string(rising[begin])
                                     : fmt::format("{}-{}", rising[begin], rising[end - 1]));
    begin = end;
  }
  const std::size_t named = std::min(parts.size(), kRangesNamed);
  const std::string rest =
      named == parts.size() ? "" : fmt::format(", ... {} in all", rising.size());
  return fmt::format("{}{}", fmt::join(parts.begin(), parts.begin() + named, ", "), rest);
}

std::string where_words(const std::vector<int>& ranks, const std::vector<Seat>& seats) {
  std::vector<std::pair<std::string, std::vector<int>>> hosts;  // in order of their first rank
  for (const int rank : ranks) {
    const std::string& host = seats.at(rank).host;
    const auto known = std::find_if(hosts.begin(), hosts.end(),
                                    [&](const auto& entry) { return entry.first == host; });
    if (known == hosts.end()) {
      hosts.push_back({host, {rank}});
    } else {
      known->second.push_back(rank);
    }
  }
  if (ranks.size() == seats.size()) {
    return hosts.size() == 1 ? fmt::format("all ranks, on {}", hosts[0].first) : "all ranks";
  }
  std::vector<std::string> parts;
  for (const auto& [host, of_host] : hosts) {
    if (parts.size() == kHostsNamed) break;
    parts.push_back(hosts.size() <= kHostsNamed ? fmt::format("{} on {}", rank_words(of_host), host)
                                                : host);
  }
  if (hosts.size() <= kHostsNamed) return fmt::format("{}", fmt::join(parts, ", "));
  return fmt::format("{} on {} hosts: {}, ...", rank_words(ranks), hosts.size(),
                     fmt::join(parts, ", "));
}

}  // namespace seqrank
