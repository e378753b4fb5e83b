// Words: 0 for a missing value of a category, from 1 (for names: from 0) in the order of first
// appearance, which no result depends on; the bits of a float; 0 or 1.
#include "data/value_column.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "backend/check.h"
#include "data/record.h"
#include "data/text_reader.h"

namespace seqrank {
namespace {

// What an entry of a table costs besides its text, about.
constexpr std::size_t kEntryBytes = 120;

std::optional<double> parse_real(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string quoted(std::string_view field) {
  std::string scratch;
  return fmt::format("'{}'", to_utf8(field.substr(0, 40), scratch));
}

}  // namespace

void ValueColumn::found_as(const std::string& column_name) {
  list_separator_ = column_name.ends_with(":token_seq") ? ' ' : '|';
}

std::optional<std::uint32_t> ValueColumn::word(const std::string& text) const {
  const auto at = word_of_.find(text);
  return at == word_of_.end() ? std::nullopt : std::optional(at->second);
}

std::uint32_t ValueColumn::missing() const {
  return form_.kind == Kind::number
             ? std::bit_cast<std::uint32_t>(std::numeric_limits<float>::quiet_NaN())
             : 0;
}

std::optional<std::uint32_t> ValueColumn::read(std::string_view field, std::string& reason) {
  if (form_.kind == Kind::category || form_.kind == Kind::name) return read_category(field, reason);
  return read_number(field, reason);
}

std::optional<std::uint32_t> ValueColumn::read_category(std::string_view field,
                                                        std::string& reason) {
  if (form_.kind == Kind::category) field = field.substr(0, field.find(list_separator_));
  const std::string_view text = to_utf8(field, scratch_);
  const bool named = form_.kind == Kind::name;
  if (text.size() > kMaxKeyBytes || (text.empty() && named)) {
    reason = text.empty()
                 ? fmt::format("no {}", form_.column)
                 : fmt::format("the {} is longer than {} bytes", form_.column, kMaxKeyBytes);
    return std::nullopt;
  }
  if (text.empty()) return 0;
  const auto next = static_cast<std::uint32_t>(word_of_.size() + (named ? 0 : 1));
  const auto [at, added] = word_of_.try_emplace(std::string(text), next);
  if (added) {
    bytes_ += text.size() + kEntryBytes;
    SR_CHECK(bytes_ <= limit_, ErrorKind::data,
             "column {} has more than {} different values, which do not fit; if they are numbers, "
             "say so ({}:number), or give more --memory",
             form_.column, word_of_.size() - 1, form_.column);
  }
  return at->second;
}

std::optional<std::uint32_t> ValueColumn::read_number(std::string_view field,
                                                      std::string& reason) const {
  if (form_.kind == Kind::number && field.empty()) return missing();
  const std::optional<double> value = parse_real(field);
  if (form_.kind == Kind::number) {
    if (value && std::isnan(*value)) return missing();
    if (value && std::isfinite(static_cast<float>(*value)))
      return std::bit_cast<std::uint32_t>(static_cast<float>(*value));
    reason = fmt::format("the {} {} is not a number", form_.column, quoted(field));
    return std::nullopt;
  }
  if (value && form_.positive) return *value >= *form_.positive ? 1 : 0;
  if (value && (*value == 0 || *value == 1)) return *value == 1 ? 1 : 0;
  reason = form_.positive ? fmt::format("the label {} is not a number", quoted(field))
                          : fmt::format(
                                "the label {} is not 0 or 1; for other numbers say from "
                                "which on it is 1 with --positive",
                                quoted(field));
  return std::nullopt;
}

void ValueColumn::count(std::uint32_t word) {
  if (form_.kind == Kind::label) return;
  if (form_.kind != Kind::number) {
    if (word >= count_.size()) count_.resize(word + 1, 0);
    ++count_[word];
    return;
  }
  const double value = std::bit_cast<float>(word);
  if (std::isnan(value)) return;
  ++numbers_;
  const double from_mean = value - mean_;
  mean_ += from_mean / static_cast<double>(numbers_);
  squares_ += from_mean * (value - mean_);
}

void ValueColumn::number() {
  if (form_.kind == Kind::label || form_.kind == Kind::number) return;
  const bool named = form_.kind == Kind::name;
  struct Entry {
    const std::string* text;
    std::uint32_t word;
    std::int64_t count;
  };
  std::vector<Entry> entries;
  count_.resize(std::max(count_.size(), word_of_.size() + 1), 0);
  for (const auto& [text, word] : word_of_)
    if (count_[word] > 0 && (named || count_[word] >= form_.min_count))
      entries.push_back({&text, word, count_[word]});
  std::sort(entries.begin(), entries.end(), [named](const Entry& a, const Entry& b) {
    if (!named && a.count != b.count) return a.count > b.count;
    if (a.text->size() != b.text->size()) return a.text->size() < b.text->size();
    return *a.text < *b.text;
  });
  id_of_word_.assign(count_.size(), 0);
  if (!named) values_.push_back("");
  for (const Entry& entry : entries) {
    id_of_word_[entry.word] = static_cast<std::int32_t>(values_.size());
    values_.push_back(*entry.text);
  }
}

void ValueColumn::write(DatasetWriter& writer, std::span<const std::uint32_t> words) const {
  if (form_.kind == Kind::label) {
    const std::vector<std::uint8_t> labels(words.begin(), words.end());
    return writer.append(form_.place, labels);
  }
  if (form_.kind != Kind::number) {
    std::vector<std::int32_t> ids;
    for (const std::uint32_t word : words) ids.push_back(id_of_word_.at(word));
    return writer.append(form_.place, ids);
  }
  const double sd = numbers_ > 0 ? std::sqrt(squares_ / static_cast<double>(numbers_)) : 0;
  std::vector<float> numbers;
  for (const std::uint32_t word : words) {
    const double value = std::bit_cast<float>(word);
    numbers.push_back(std::isnan(value) || sd == 0 ? 0 : static_cast<float>((value - mean_) / sd));
  }
  writer.append(form_.place, numbers);
}

void ValueColumn::write_values(DatasetWriter& writer) const {
  for (const std::string& value : values_) writer.append_text(form_.values_place, value);
  if (form_.kind != Kind::number) return;
  writer.set_attribute(form_.attribute + ".mean", mean_);
  writer.set_attribute(form_.attribute + ".sd",
                       numbers_ > 0 ? std::sqrt(squares_ / static_cast<double>(numbers_)) : 0);
}

namespace {

// "year:number" and "genre" as columns.
void add_features(const std::vector<std::string>& names, FeatureOf of, std::int64_t min_count,
                  std::size_t most_bytes, std::vector<ValueColumn>& out) {
  const char* group = of == FeatureOf::event ? "event" : of == FeatureOf::user ? "user" : "item";
  for (std::string name : names) {
    const bool number = name.ends_with(":number");
    if (number) name.resize(name.size() - 7);
    const auto reason = bad_feature_name(of, name);
    SR_CHECK(!reason, ErrorKind::usage, "'{}' cannot be the name of a feature: {}", name, *reason);
    const std::string place = fmt::format("/{}/feature/{}", group, name);
    for (const ValueColumn& other : out)
      SR_CHECK(other.form().place != place, ErrorKind::usage, "feature {} is named twice", name);
    ValueColumn::Form form{number ? ValueColumn::Kind::number : ValueColumn::Kind::category, name,
                           place, fmt::format("/{}/feature_values/{}", group, name)};
    form.attribute = fmt::format("{}.{}", group, name);
    form.min_count = min_count;
    out.emplace_back(std::move(form), most_bytes);
  }
}

}  // namespace

std::vector<ValueColumn> event_values(const PrepareOptions& options, std::size_t most_bytes) {
  std::vector<ValueColumn> columns;
  if (!options.label_column.empty()) {
    ValueColumn::Form form{ValueColumn::Kind::label, options.label_column, "/event/label", ""};
    form.positive = options.positive;
    columns.emplace_back(std::move(form), most_bytes);
  }
  if (!options.action_column.empty())
    columns.emplace_back(ValueColumn::Form{ValueColumn::Kind::name, options.action_column,
                                           "/event/action", "/action/name"},
                         most_bytes);
  if (!options.domain_column.empty())
    columns.emplace_back(ValueColumn::Form{ValueColumn::Kind::name, options.domain_column,
                                           "/event/domain", "/domain/name"},
                         most_bytes);
  add_features(options.event_features, FeatureOf::event, options.min_count, most_bytes, columns);
  return columns;
}

std::vector<ValueColumn> side_values(const PrepareOptions& options, const FeatureFile& file,
                                     FeatureOf of, std::size_t most_bytes) {
  std::vector<ValueColumn> columns;
  add_features(file.features, of, options.min_count, most_bytes, columns);
  return columns;
}

}  // namespace seqrank
