// Columns by name, then fields by column.
#include "data/event_parser.h"

#include <fmt/core.h>

#include <array>

#include "backend/check.h"
#include "data/record.h"

namespace seqrank {
namespace {

constexpr std::array<std::string_view, 13> kUserNames = {
    "user_id",   "user",       "userid",    "uid",     "customer_id", "reviewerid", "visitor_id",
    "visitorid", "session_id", "sessionid", "session", "sequence",    "seq"};
constexpr std::array<std::string_view, 13> kItemNames = {
    "item_id", "item",        "itemid", "iid",      "product_id",  "productid", "movie_id",
    "movieid", "parent_asin", "asin",   "video_id", "business_id", "article_id"};
constexpr std::array<std::string_view, 8> kTimeNames = {
    "timestamp",      "time",     "ts",   "unix_timestamp",
    "unixreviewtime", "datetime", "date", "event_time"};

constexpr std::array<std::string_view, 5> kTargetNames = {"target", "target_item", "target_id",
                                                          "item_id", "item"};

using Columns = EventParser::Columns;

void check_apart(const ColumnReader& in, const Columns& chosen) {
  SR_CHECK(chosen.user != chosen.item && (!chosen.time || chosen.time != chosen.user) &&
               chosen.time != chosen.item,
           ErrorKind::usage,
           "{}: user, item and time must be three different columns; choose with --user, --item, "
           "--time out of: {}",
           in.reader().name(), in.columns().list());
}

Columns history_columns(const ColumnReader& in, const PrepareOptions& options) {
  const ColumnNames& names = in.columns();
  SR_CHECK(options.time_column.empty() || options.time_column == "none", ErrorKind::usage,
           "{}: a row with a history has no time of each event; leave out --time",
           in.reader().name());
  Columns chosen;
  chosen.user = options.user_column.empty() ? names.guess(kUserNames)
                                            : names.find_if_there(options.user_column);
  chosen.item = in.choose(options.target_column, kTargetNames, "--target", "the target");
  chosen.history = names.find(options.history_column, "--history-column");
  if (!options.label_column.empty())
    chosen.history_labels = names.find(options.history_labels_column, "--history-labels");
  return chosen;
}

Columns event_columns(const ColumnReader& in, const PrepareOptions& options) {
  Columns chosen;
  chosen.user = in.choose(options.user_column, kUserNames, "--user", "the user");
  chosen.item = in.choose(options.item_column, kItemNames, "--item", "the item");
  if (options.time_column.empty()) {
    chosen.time = in.columns().guess(kTimeNames);
  } else if (options.time_column != "none") {
    chosen.time = in.columns().find(options.time_column, "--time");
  }
  return chosen;
}

bool begins_with_any(std::string_view text, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (text.starts_with(name)) return true;
  return false;
}

// The entries of a list, separated by commas or, where there is none, by spaces.
std::vector<std::string_view> entries_of(std::string_view list) {
  const char separator = list.find(',') == std::string_view::npos ? ' ' : ',';
  std::vector<std::string_view> entries;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(separator), list.size());
    entries.push_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return entries;
}

}  // namespace

EventParser::EventParser(const ColumnReader& in, const PrepareOptions& options,
                         std::vector<ValueColumn>& values, std::optional<Split> split)
    : options_(options), values_(values), split_(split) {
  const bool history = !options.history_column.empty() &&
                       in.columns().find_if_there(options.history_column).has_value();
  columns_ = history ? history_columns(in, options) : event_columns(in, options);
  check_apart(in, columns_);
  for (ValueColumn& value : values_) {
    const std::size_t column =
        in.columns().find(value.form().column, "--label, --action, --domain or --event-features");
    columns_.values.push_back(column);
    value.found_as(in.columns().name(column));
  }
  if (!split_ && !options.split_column.empty())
    columns_.split = in.columns().find(options.split_column, "--split-column");
  SR_CHECK(!options.split_by_prefix || columns_.user, ErrorKind::usage,
           "{}: has no users to tell splits by (--split-by-prefix); choose with --user",
           in.reader().name());
}

std::optional<Split> EventParser::split_of(std::string_view text, std::string& reason) const {
  if (begins_with_any(text, options_.training_names)) return Split::train;
  if (begins_with_any(text, options_.validation_names)) return Split::validation;
  if (begins_with_any(text, options_.test_names)) return Split::test;
  std::string scratch;
  reason = fmt::format(
      "'{}' is of no split; say how they begin with --split-training, "
      "--split-validation and --split-test",
      to_utf8(text.substr(0, 40), scratch));
  return std::nullopt;
}

bool EventParser::parse(const std::vector<std::string_view>& fields, std::uint64_t place,
                        std::uint64_t row, const std::function<void(const TextEvent&)>& sink,
                        std::string& reason) {
  TextEvent event;
  if (columns_.user) {
    event.user = key_of(fields[*columns_.user], "user", user_, reason);
  } else {
    user_ = fmt::format("row-{}", place);
    event.user = user_;
  }
  std::optional<Split> split = split_ ? split_ : Split::train;
  if (columns_.split) split = split_of(fields[*columns_.split], reason);
  if (!split_ && options_.split_by_prefix) split = split_of(event.user, reason);
  if (split) event.split = *split;
  if (!parse_event(fields, event, reason)) return false;
  if (!columns_.history) {
    sink(event);
    return true;
  }
  const std::vector<std::uint32_t> target_words = words_;
  if (!parse_history(fields, reason)) return false;
  const std::string_view target = event.item;
  event.row = row;
  for (std::size_t i = 0; i < history_.size(); ++i) {
    event.item = history_[i];
    event.words =
        std::span<const std::uint32_t>(words_).subspan(i * values_.size(), values_.size());
    sink(event);
  }
  event.item = target;
  event.words = target_words;
  sink(event);
  return true;
}

// All of the event but user and split.
bool EventParser::parse_event(const std::vector<std::string_view>& fields, TextEvent& event,
                              std::string& reason) {
  event.item = key_of(fields[columns_.item], "item", item_, reason);
  if (columns_.time) {
    const std::string_view text = fields[*columns_.time];
    const std::optional<std::int64_t> time = parse_time(text);
    if (time) {
      event.time = *time;
    } else {
      std::string scratch;
      reason = fmt::format("'{}' is not a time in seconds or a date",
                           to_utf8(text.substr(0, 40), scratch));
    }
  }
  words_.clear();
  for (std::size_t i = 0; i < values_.size() && reason.empty(); ++i)
    if (const auto word = values_[i].read(fields[columns_.values[i]], reason))
      words_.push_back(*word);
  event.words = words_;
  return reason.empty();
}

// Items into history_, and into words_ the labels where they are wanted: the options allow no other
// values in a history.
bool EventParser::parse_history(const std::vector<std::string_view>& fields, std::string& reason) {
  history_.clear();
  words_.clear();
  for (const std::string_view item : entries_of(fields[*columns_.history]))
    history_.emplace_back(key_of(item, "item in the history", text_, reason));
  if (columns_.history_labels) {
    for (const std::string_view label : entries_of(fields[*columns_.history_labels]))
      if (const auto word = values_[0].read(label, reason)) words_.push_back(*word);
    if (reason.empty() && words_.size() != history_.size())
      reason = fmt::format("{} labels of {} items in the history", words_.size(), history_.size());
  }
  return reason.empty();
}

}  // namespace seqrank
