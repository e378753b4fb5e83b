// Counting in one pass over the events, in pieces; nothing is guessed from samples.
#include "data/inspect.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <utility>

namespace seqrank {
namespace {

constexpr std::int64_t kPiece = 1 << 18;  // events
constexpr std::size_t kPopular = 10;

void summarise_lengths(const Dataset& dataset, DatasetSummary& out) {
  std::vector<std::int64_t> length(static_cast<std::size_t>(dataset.sequences()));
  for (std::int64_t s = 0; s < dataset.sequences(); ++s) {
    length[s] = dataset.length(s);
    out.with_targets += length[s] >= 3;
  }
  if (length.empty()) return;
  std::sort(length.begin(), length.end());
  const std::size_t half = length.size() / 2;
  out.length_min = length.front();
  out.length_max = length.back();
  out.length_mean = static_cast<double>(out.events) / static_cast<double>(out.sequences);
  out.length_median = length.size() % 2 == 1
                          ? static_cast<double>(length[half])
                          : 0.5 * static_cast<double>(length[half - 1] + length[half]);
}

void summarise_items(const Dataset& dataset, DatasetSummary& out) {
  std::vector<std::int64_t> count(static_cast<std::size_t>(dataset.items()));
  std::vector<std::int32_t> piece;
  for (std::int64_t begin = 0; begin < dataset.events(); begin += kPiece) {
    piece.resize(static_cast<std::size_t>(std::min(kPiece, dataset.events() - begin)));
    dataset.read_items(begin, piece);
    for (const std::int32_t item : piece) ++count[item];
  }
  std::vector<std::int32_t> order(count.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t a, std::int32_t b) { return count[a] > count[b]; });
  const std::size_t head = (order.size() + 99) / 100;
  std::int64_t head_events = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::int64_t item = order[i], times = count[item];
    if (times == 0) break;
    ++out.items_used;
    if (i < head) head_events += times;
    if (i < kPopular) out.popular.push_back({item, times, dataset.item_title(item)});
  }
  if (out.events > 0)
    out.head_share = static_cast<double>(head_events) / static_cast<double>(out.events);
}

void summarise_times(const Dataset& dataset, DatasetSummary& out) {
  if (!dataset.has_times() || out.events == 0) return;
  std::vector<std::int64_t> piece;
  std::int64_t first = 0, last = 0, before = 0, equal = 0, neighbours = 0, next = 0;
  for (std::int64_t begin = 0; begin < dataset.events(); begin += kPiece) {
    piece.resize(static_cast<std::size_t>(std::min(kPiece, dataset.events() - begin)));
    dataset.read_times(begin, piece);
    for (std::size_t i = 0; i < piece.size(); ++i) {
      const std::int64_t row = begin + static_cast<std::int64_t>(i);
      first = row == 0 ? piece[i] : std::min(first, piece[i]);
      last = row == 0 ? piece[i] : std::max(last, piece[i]);
      while (next < dataset.sequences() && dataset.begin(next) < row) ++next;
      const bool starts = next < dataset.sequences() && dataset.begin(next) == row;
      if (!starts) {
        ++neighbours;
        equal += piece[i] == before;
      }
      before = piece[i];
    }
  }
  out.times = {first, last};
  out.tie_rate = neighbours == 0 ? 0 : static_cast<double>(equal) / static_cast<double>(neighbours);
}

void summarise_labels(const Dataset& dataset, DatasetSummary& out) {
  if (!dataset.has_labels() || out.events == 0) return;
  std::vector<std::uint8_t> piece;
  std::int64_t positive = 0;
  for (std::int64_t begin = 0; begin < dataset.events(); begin += kPiece) {
    piece.resize(static_cast<std::size_t>(std::min(kPiece, dataset.events() - begin)));
    dataset.read_labels(begin, piece);
    positive += std::accumulate(piece.begin(), piece.end(), std::int64_t{0});
  }
  out.positive = static_cast<double>(positive) / static_cast<double>(out.events);
}

void summarise_splits(const Dataset& dataset, DatasetSummary& out) {
  if (!dataset.has_splits()) return;
  out.splits.emplace();
  for (std::int64_t s = 0; s < dataset.sequences(); ++s)
    ++(*out.splits)[static_cast<std::size_t>(dataset.split(s))];
  out.last_targets_only = dataset.last_targets_only();
}

using FeatureSummary = DatasetSummary::FeatureSummary;

std::vector<FeatureSummary::Value> frequent_values(const Dataset& dataset, FeatureOf of,
                                                   const Feature& feature, std::int64_t rows) {
  std::unordered_map<std::int32_t, std::int64_t> count;  // a file may name ids up to 2^31
  std::vector<std::int32_t> piece;
  for (std::int64_t begin = 0; begin < rows; begin += kPiece) {
    piece.resize(static_cast<std::size_t>(std::min(kPiece, rows - begin)));
    dataset.read_feature(of, feature.name, begin, piece);
    for (const std::int32_t id : piece) ++count[id];
  }
  std::vector<std::pair<std::int32_t, std::int64_t>> order(count.begin(), count.end());
  const auto top = order.begin() + std::min<std::ptrdiff_t>(5, std::ssize(order));
  std::partial_sort(order.begin(), top, order.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  std::vector<FeatureSummary::Value> values;
  for (auto entry = order.begin(); entry != top; ++entry)
    values.push_back({dataset.feature_value(of, feature.name, entry->first),
                      static_cast<double>(entry->second) / static_cast<double>(rows)});
  return values;
}

void summarise_features(const Dataset& dataset, DatasetSummary& out) {
  const auto add = [&](FeatureOf of, const std::string& prefix, std::int64_t rows) {
    for (const Feature& feature : dataset.features(of)) {
      out.features.push_back({prefix + feature.name, feature.values, {}});
      if (feature.values > 0)
        out.features.back().frequent = frequent_values(dataset, of, feature, rows);
    }
  };
  add(FeatureOf::event, "event.", out.events);
  add(FeatureOf::user, "user.", out.sequences);
  add(FeatureOf::item, "item.", out.items);
}

std::string feature_text(const FeatureSummary& feature) {
  if (feature.values == 0) return "numbers";
  std::string text = fmt::format("{} values", feature.values);
  for (const auto& value : feature.frequent)
    text += fmt::format("{} {} {:.1f} %", &value == &feature.frequent[0] ? ":" : ",",
                        value.text.empty() ? "unknown" : value.text, 100 * value.share);
  return text;
}

// A date where the seconds can be one of years 0001 to 9999, else the number alone.
std::string time_text(std::int64_t seconds) {
  constexpr std::int64_t kFirst = -62135596800, kLast = 253402300799;
  if (seconds < kFirst || seconds > kLast) return fmt::to_string(seconds);
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC ({})", fmt::gmtime(seconds), seconds);
}

}  // namespace

DatasetSummary summarise(const Dataset& dataset) {
  DatasetSummary out;
  out.path = dataset.path();
  out.fingerprint = dataset.fingerprint();
  out.sequences = dataset.sequences();
  out.items = dataset.items();
  out.events = dataset.events();
  out.attributes = dataset.attributes();
  summarise_lengths(dataset, out);
  summarise_items(dataset, out);
  summarise_times(dataset, out);
  summarise_labels(dataset, out);
  summarise_splits(dataset, out);
  summarise_features(dataset, out);
  return out;
}

std::string to_text(const DatasetSummary& s) {
  std::string text;
  const auto line = [&](const std::string& name, const std::string& value) {
    text += fmt::format("{:<16} {}\n", name, value);
  };
  line("data set", s.path);
  line("fingerprint", s.fingerprint);
  line("sequences", s.splits ? fmt::to_string(s.sequences)
                             : fmt::format("{} ({} with validation and test targets)", s.sequences,
                                           s.with_targets));
  line("items", fmt::format("{} ({} occur)", s.items, s.items_used));
  line("events", fmt::to_string(s.events));
  line("events/sequence", fmt::format("min {}, median {}, mean {:.1f}, max {}", s.length_min,
                                      s.length_median, s.length_mean, s.length_max));
  if (s.times) {
    line("first event", time_text(s.times->first));
    line("last event", time_text(s.times->second));
  } else {
    line("times", "none: the order in the file is the order of events");
  }
  if (s.tie_rate) line("equal times", fmt::format("{:.2f} % of neighbours", 100 * *s.tie_rate));
  line("popular 1 %", fmt::format("{:.1f} % of events", 100 * s.head_share));
  if (s.positive) line("label 1", fmt::format("{:.1f} % of events", 100 * *s.positive));
  if (s.splits) {
    const auto& [training, validation, test] = *s.splits;
    line("splits",
         fmt::format("{} training, {} validation, {} test sequences{}", training, validation, test,
                     s.last_targets_only ? "; only last events are targets" : ""));
  }
  for (const auto& feature : s.features) line(feature.name, feature_text(feature));
  for (const auto& [name, value] : s.attributes) line(name, fmt::format("{}", value));
  if (!s.popular.empty()) text += fmt::format("{:>10} {:>10}  {}\n", "item", "events", "title");
  for (const auto& popular : s.popular)
    text += fmt::format("{:>10} {:>10}  {}\n", popular.item, popular.count, popular.title);
  return text;
}

}  // namespace seqrank
