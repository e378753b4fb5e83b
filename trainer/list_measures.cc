// Sums over lists, in order.
#include "trainer/list_measures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "backend/check.h"

namespace seqrank {
namespace {

double gini(std::vector<std::int64_t> times_V) {
  std::ranges::sort(times_V);
  const auto n = static_cast<double>(times_V.size());
  double sum = 0, weighted = 0;
  for (std::size_t i = 0; i < times_V.size(); ++i) {
    sum += static_cast<double>(times_V[i]);
    weighted += (2 * static_cast<double>(i + 1) - n - 1) * static_cast<double>(times_V[i]);
  }
  return sum > 0 ? weighted / (n * sum) : 0;
}

// Of a list's pairs, the share that differ in category; nothing for less than two items.
std::optional<double> diversity(std::span<const std::int32_t> list,
                                std::span<const std::int32_t> category_V) {
  if (list.size() < 2) return std::nullopt;
  double differ = 0, pairs = 0;
  for (std::size_t i = 0; i < list.size(); ++i)
    for (std::size_t j = 0; j < i; ++j, ++pairs)
      differ += category_V[list[i]] != category_V[list[j]];
  return differ / pairs;
}

// The last number of the group that begins at `first`: 0, 1, 2 to 4, 5 to 9, and so on by tens.
std::int64_t last_of_bucket(std::int64_t first) {
  if (first == 0) return 0;
  std::int64_t ten = 1;
  while (ten * 10 <= first) ten *= 10;
  const std::int64_t digit = first / ten;
  return (digit == 1 ? 2 : digit == 2 ? 5 : 10) * ten - 1;
}

}  // namespace

Metrics list_metrics(const Lists& lists, std::span<const std::int64_t> events_V,
                     std::span<const double> history_events_Q,
                     std::span<const std::int32_t> category_V) {
  const auto items = static_cast<double>(events_V.size());
  const double all =
      static_cast<double>(std::accumulate(events_V.begin(), events_V.end(), std::int64_t{0}));
  std::vector<std::int64_t> times_V(events_V.size(), 0);
  double places = 0, bits = 0, events = 0, differ = 0, with_pairs = 0;
  for (std::size_t q = 0; q < history_events_Q.size(); ++q) {
    auto list = lists.best_QK.subspan(q * lists.k, lists.k);
    list = list.first(std::ranges::find(list, -1) - list.begin());
    double list_events = 0;
    for (const std::int32_t item : list) {
      ++times_V[item];
      const auto own = static_cast<double>(events_V[item]);
      bits -= std::log2((own + 1) / (all + items));
      list_events += own;
    }
    places += static_cast<double>(list.size());
    if (!list.empty()) events += list_events / static_cast<double>(list.size());
    if (category_V.empty()) continue;
    if (const auto one = diversity(list, category_V)) differ += *one, with_pairs += 1;
  }
  const double history = std::accumulate(history_events_Q.begin(), history_events_Q.end(), 0.0);
  const auto covered = std::ranges::count_if(times_V, [](std::int64_t n) { return n > 0; });
  const auto name = [&](const char* measure) { return fmt::format("{}@{}", measure, lists.k); };
  Metrics metrics = {{name("coverage"), static_cast<double>(covered) / items},
                     {name("gini"), gini(times_V)},
                     {name("novelty"), places > 0 ? bits / places : 0},
                     {name("popularity_lift"), history > 0 ? events / history - 1 : 0}};
  if (!category_V.empty()) metrics[name("diversity")] = with_pairs > 0 ? differ / with_pairs : 0;
  return metrics;
}

std::vector<Bucket> buckets(std::span<const std::int64_t> value_Q) {
  std::vector<Bucket> result;
  if (value_Q.empty()) return result;
  const std::int64_t largest = *std::ranges::max_element(value_Q);
  for (std::int64_t first = 0; first <= largest; first = result.back().last + 1)
    result.push_back({first, last_of_bucket(first), {}});
  for (std::size_t q = 0; q < value_Q.size(); ++q) {
    SR_ASSERT(value_Q[q] >= 0, "a count of {}", value_Q[q]);
    const auto at = std::ranges::lower_bound(result, value_Q[q], {}, &Bucket::last);
    at->questions.push_back(q);
  }
  std::erase_if(result, [](const Bucket& bucket) { return bucket.questions.empty(); });
  return result;
}

}  // namespace seqrank
