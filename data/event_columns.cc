// Columns that are computed from positions and times, and columns that are stored.
#include "data/event_columns.h"

#include <algorithm>
#include <bit>

#include "backend/check.h"
#include "data/fingerprint.h"

namespace seqrank {
namespace {

constexpr std::int64_t kGaps = 48, kHours = 24, kWeekdays = 7;
constexpr std::int64_t kHour = 3600, kDay = 24 * kHour;

using Ids = std::span<std::int32_t>;

void fill_position(std::span<const Window> windows, Ids id_N) {
  std::size_t at = 0;
  for (const Window& window : windows)
    for (std::int64_t i = 0; i < window.events; ++i) id_N[at++] = static_cast<std::int32_t>(i);
}

std::int32_t gap_bucket(std::int64_t seconds) {
  const int log2 = std::bit_width(static_cast<std::uint64_t>(seconds) + 1) - 1;
  return static_cast<std::int32_t>(std::min<std::int64_t>(log2, kGaps - 1));
}

// A window's first event has a gap too where the sequence has an event before it.
void fill_gap(const Dataset& dataset, std::span<const Window> windows, Ids id_N) {
  std::size_t at = 0;
  std::vector<std::int64_t> time;
  for (const Window& window : windows) {
    const std::int64_t before = window.begin > dataset.begin(window.sequence) ? 1 : 0;
    time.resize(window.events + before);
    dataset.read_times(window.begin - before, time);
    if (!before) id_N[at++] = 0;
    for (std::size_t i = 1; i < time.size(); ++i) id_N[at++] = gap_bucket(time[i] - time[i - 1]);
  }
}

// id = (time / unit + offset) mod values, for times before 1970 too.
void fill_calendar(const Dataset& dataset, std::span<const Window> windows, std::int64_t unit,
                   std::int64_t offset, std::int64_t values, Ids id_N) {
  std::size_t at = 0;
  std::vector<std::int64_t> time;
  for (const Window& window : windows) {
    time.resize(window.events);
    dataset.read_times(window.begin, time);
    for (std::int64_t t : time) {
      const std::int64_t units = (t - ((t % unit) + unit) % unit) / unit + offset;
      id_N[at++] = static_cast<std::int32_t>(((units % values) + values) % values);
    }
  }
}

void fill_computed(const Dataset& dataset, std::span<const Window> windows, const std::string& name,
                   Ids id_N) {
  if (name == "position") return fill_position(windows, id_N);
  if (name == "gap") return fill_gap(dataset, windows, id_N);
  if (name == "hour") return fill_calendar(dataset, windows, kHour, 0, kHours, id_N);
  SR_ASSERT(name == "weekday", "column {}", name);
  fill_calendar(dataset, windows, kDay, 3, kWeekdays, id_N);  // the first of 1970 was a Thursday
}

// A feature under the name that models use.
struct Stored {
  FeatureOf of;
  std::string name;  // of the feature
  bool of_target = false;
  std::int64_t values = 0;
};

std::map<std::string, Stored> stored_columns(const Dataset& dataset) {
  std::map<std::string, Stored> columns;
  const auto add = [&](FeatureOf of, const std::string& prefix, bool of_target) {
    for (const Feature& feature : dataset.features(of))
      columns[prefix + feature.name] = {of, feature.name, of_target, feature.values};
  };
  add(FeatureOf::event, "", false);
  add(FeatureOf::user, "user.", false);
  add(FeatureOf::item, "item.", false);
  add(FeatureOf::item, "target.", true);
  return columns;
}

// T: std::int32_t for ids, float for numbers.
template <class T>
void fill_stored(const Dataset& dataset, std::span<const Window> windows, const Stored& column,
                 const Batch& batch, std::span<T> out_N) {
  if (column.of == FeatureOf::item) {
    const Tensor& item_N = column.of_target ? batch.target_N : batch.item_N;
    dataset.gather_feature(column.of, column.name, item_N.span<std::int32_t>(), out_N);
    return;
  }
  std::size_t at = 0;
  for (const Window& window : windows) {
    const auto here = out_N.subspan(at, static_cast<std::size_t>(window.events));
    at += here.size();
    if (column.of == FeatureOf::event) {
      dataset.read_feature(column.of, column.name, window.begin, here);
    } else {
      dataset.read_feature(column.of, column.name, window.sequence, here.first(1));
      std::fill(here.begin(), here.end(), here[0]);
    }
  }
}

// Labels of the events `after` places behind those of the windows.
Tensor labels(const Dataset& dataset, Arena& arena, std::span<const Window> windows,
              std::int64_t events, std::int64_t after) {
  Tensor label_N(arena, DType::f32, {events}, Tag::batch);
  const auto out = label_N.span<float>();
  std::vector<std::uint8_t> label;
  std::size_t at = 0;
  for (const Window& window : windows) {
    label.resize(static_cast<std::size_t>(window.events));
    dataset.read_labels(window.begin + after, label);
    std::copy(label.begin(), label.end(), out.begin() + static_cast<std::ptrdiff_t>(at));
    at += label.size();
  }
  return label_N;
}

}  // namespace

std::map<std::string, std::int64_t> event_columns(const Dataset& dataset, std::int64_t max_length) {
  std::map<std::string, std::int64_t> columns = {{"position", max_length}};
  if (dataset.has_times()) {
    columns["gap"] = kGaps;
    columns["hour"] = kHours;
    columns["weekday"] = kWeekdays;
  }
  for (const auto& [name, column] : stored_columns(dataset)) columns[name] = column.values;
  return columns;
}

std::vector<std::string> value_names(const Dataset& dataset, const std::string& column) {
  std::vector<std::string> names;
  const auto stored = stored_columns(dataset);
  const auto found = stored.find(column);
  if (found == stored.end()) return names;
  for (std::int64_t id = 0; id < found->second.values; ++id)
    names.push_back(dataset.feature_value(found->second.of, found->second.name, id));
  return names;
}

std::map<std::string, std::string> column_fingerprints(const Dataset& dataset,
                                                       const BatchNeeds& needs) {
  std::map<std::string, std::string> result;
  for (const std::string& column : needs.columns) {
    const auto names = value_names(dataset, column);
    if (names.empty()) continue;
    TextFingerprint fingerprint;
    for (const std::string& name : names) fingerprint.add(name);
    result[column] = fingerprint.hex();
  }
  return result;
}

void check_columns(const Dataset& dataset, const BatchNeeds& needs, std::int64_t max_length) {
  const auto columns = event_columns(dataset, max_length);
  std::string names;
  for (const auto& [name, values] : columns) names += (names.empty() ? "" : ", ") + name;
  for (const std::string& name : needs.columns)
    SR_CHECK(columns.contains(name), ErrorKind::usage,
             "{}: its events have no column {}, which the model reads; they have: {}",
             dataset.path(), name, names);
  SR_CHECK(!needs.times || dataset.has_times(), ErrorKind::usage,
           "{}: its events have no times, which the model reads; `seqrank prepare --time` writes "
           "them",
           dataset.path());
  SR_CHECK(!needs.labels || dataset.has_labels(), ErrorKind::usage,
           "{}: its events have no labels, which the model reads; `seqrank prepare --label` writes "
           "them",
           dataset.path());
  SR_CHECK(needs.max_length == 0 || max_length <= needs.max_length, ErrorKind::usage,
           "--data.max_length={}: the model reads at most {} events of a sequence", max_length,
           needs.max_length);
}

namespace {

// column: what `stored` has under this name; null: computed.
void add_column(const Dataset& dataset, Arena& arena, std::span<const Window> windows,
                const std::string& name, std::int64_t values, const Stored* column,
                WithRows with_rows, Batch& batch) {
  if (values == 0) {
    Tensor& number_N1 = batch.numbers[name];
    number_N1 = Tensor(arena, DType::f32, {batch.events, 1}, Tag::batch);
    fill_stored(dataset, windows, *column, batch, number_N1.span<float>());
    return;
  }
  IdColumn& ids = batch.ids[name];
  ids.values = values;
  ids.id_N = Tensor(arena, DType::i32, {batch.events}, Tag::batch);
  const Ids id_N = ids.id_N.span<std::int32_t>();
  if (column != nullptr)
    fill_stored(dataset, windows, *column, batch, id_N);
  else
    fill_computed(dataset, windows, name, id_N);
  if (with_rows == WithRows::yes) ids.rows = unique_rows(arena, id_N);
}

}  // namespace

void add_columns(const Dataset& dataset, Arena& arena, std::span<const Window> windows,
                 const BatchNeeds& needs, WithRows with_rows, Batch& batch) {
  if (needs.times) {
    batch.time_N = Tensor(arena, DType::i64, {batch.events}, Tag::batch);
    std::int64_t at = 0;
    for (const Window& window : windows) {
      dataset.read_times(window.begin,
                         batch.time_N.span<std::int64_t>().subspan(at, window.events));
      at += window.events;
    }
  }
  if (needs.labels) {
    batch.label_N = labels(dataset, arena, windows, batch.events, 0);
    if (batch.target_N) batch.target_label_N = labels(dataset, arena, windows, batch.events, 1);
  }
  if (needs.columns.empty()) return;
  std::int64_t longest = 1;
  for (const Window& window : windows) longest = std::max(longest, window.events);
  const auto columns = event_columns(dataset, std::max(longest, needs.max_length));
  const auto stored = stored_columns(dataset);
  for (const std::string& name : needs.columns) {
    const auto found = stored.find(name);
    const Stored* column = found != stored.end() ? &found->second : nullptr;
    if (column != nullptr && column->of_target && !batch.target_N) continue;
    add_column(dataset, arena, windows, name, columns.at(name), column, with_rows, batch);
  }
}

void ask_about(const Dataset& dataset, Arena& arena, std::int32_t item, const BatchNeeds& needs,
               Batch& batch) {
  SR_ASSERT(!batch.target_N, "the batch has targets");
  batch.target_N = Tensor(arena, DType::i32, {batch.events}, Tag::batch);
  std::ranges::fill(batch.target_N.span<std::int32_t>(), item);
  const auto stored = stored_columns(dataset);
  for (const std::string& name : needs.columns)
    if (const auto found = stored.find(name); found != stored.end() && found->second.of_target)
      add_column(dataset, arena, {}, name, found->second.values, &found->second, WithRows::no,
                 batch);
}

}  // namespace seqrank
