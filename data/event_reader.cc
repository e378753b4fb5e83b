// The first line decides separator and columns; every other line is an event or a bad line.
#include "data/event_reader.h"

#include <fmt/core.h>

#include <array>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>

#include "backend/check.h"
#include "data/record.h"

namespace seqrank {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::array<std::string_view, 13> kUserNames = {
    "user_id",   "user",       "userid",    "uid",     "customer_id", "reviewerid", "visitor_id",
    "visitorid", "session_id", "sessionid", "session", "sequence",    "seq"};
constexpr std::array<std::string_view, 13> kItemNames = {
    "item_id", "item",        "itemid", "iid",      "product_id",  "productid", "movie_id",
    "movieid", "parent_asin", "asin",   "video_id", "business_id", "article_id"};
constexpr std::array<std::string_view, 8> kTimeNames = {
    "timestamp",      "time",     "ts",   "unix_timestamp",
    "unixreviewtime", "datetime", "date", "event_time"};

struct Columns {
  std::size_t user, item;
  std::optional<std::size_t> time;
};

Columns choose_columns(const ColumnReader& in, const PrepareOptions& options) {
  Columns chosen{in.choose(options.user_column, kUserNames, "--user", "the user"),
                 in.choose(options.item_column, kItemNames, "--item", "the item"), std::nullopt};
  if (options.time_column.empty()) {
    chosen.time = in.columns().guess(kTimeNames);
  } else if (options.time_column != "none") {
    chosen.time = in.columns().find(options.time_column, "--time");
  }
  SR_CHECK(chosen.user != chosen.item && chosen.time != chosen.user && chosen.time != chosen.item,
           ErrorKind::usage,
           "{}: user, item and time must be three different columns; choose with --user, --item, "
           "--time out of: {}",
           in.reader().name(), in.columns().list());
  return chosen;
}

// The key as UTF-8; the reason is set where it cannot be one.
std::string_view key_of(std::string_view field, const char* what, std::string& scratch,
                        std::string& reason) {
  const std::string_view key = to_utf8(field, scratch);
  if (key.empty()) reason = fmt::format("no {}", what);
  if (key.size() > kMaxKeyBytes)
    reason = fmt::format("the {} is longer than {} bytes", what, kMaxKeyBytes);
  return key;
}

class EventParser {
 public:
  explicit EventParser(Columns columns) : columns_(columns) {}

  // False: the line is bad, for this reason.
  bool parse(const std::vector<std::string_view>& fields, TextEvent& event, std::string& reason) {
    event.user = key_of(fields[columns_.user], "user", user_, reason);
    event.item = key_of(fields[columns_.item], "item", item_, reason);
    event.time = 0;
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
    return reason.empty();
  }

 private:
  Columns columns_;
  std::string user_, item_;
};

}  // namespace

void BadLines::add(const TextReader& reader, std::string reason) {
  if (++count_ <= 10) first_.push_back({reader.name(), reader.line_number(), std::move(reason)});
}

void BadLines::check(const std::string& what, std::int64_t lines, double limit) const {
  // The slack keeps 0.1 % of 1,000 lines at one line, whatever 0.001 is in binary.
  if (static_cast<double>(count_) <= limit * static_cast<double>(lines) * (1 + 1e-12)) return;
  std::string list;
  for (const BadLine& bad : first_) {
    const std::string place = bad.file == what ? fmt::format("line {}", bad.line)
                                               : fmt::format("{}:{}", bad.file, bad.line);
    list += fmt::format("{}{}: {}", list.empty() ? "" : "; ", place, bad.reason);
  }
  if (count_ > static_cast<std::int64_t>(first_.size())) list += "; ...";
  throw Error(
      ErrorKind::data,
      fmt::format("{}: {} of {} lines are bad ({:.3g} %, allowed {:.3g} %): {}", what, count_,
                  lines, 100.0 * static_cast<double>(count_) / static_cast<double>(lines),
                  100 * limit, list));
}

ColumnReader::ColumnReader(const std::string& path, const std::string& separator, Header header,
                           const std::vector<std::string>& names)
    : reader_(path), header_(header == Header::first_line) {
  std::string_view line;
  do {
    SR_CHECK(reader_.next_line(line), ErrorKind::data, "{}: is empty; give a file with events",
             reader_.name());
  } while (line.empty());
  SR_CHECK(line.find('\0') == std::string_view::npos, ErrorKind::data,
           "{}: its first line holds NUL bytes; this is not delimited text", reader_.name());
  splitter_.emplace(separator.empty() ? guess_separator(path, line) : separator);
  SR_CHECK(splitter_->split(line), ErrorKind::data, "{}: line {}: a quote is not closed",
           reader_.name(), reader_.line_number());
  const auto& fields = splitter_->fields();
  std::vector<std::string> found;
  std::string scratch;
  for (std::size_t i = 0; i < fields.size(); ++i)
    found.push_back(header_ ? std::string(to_utf8(fields[i], scratch)) : fmt::format("{}", i + 1));
  if (!names.empty()) {
    SR_CHECK(names.size() == fields.size(), ErrorKind::data,
             "{}: line {} has {} columns, {} are named; name every column", reader_.name(),
             reader_.line_number(), fields.size(), names.size());
    found = names;
  }
  columns_.emplace(reader_.name(), std::move(found));
  pending_ = !header_;
  if (pending_) first_line_ = line;
}

std::size_t ColumnReader::choose(const std::string& name, Names candidates, std::string_view option,
                                 std::string_view what) const {
  if (!name.empty()) return columns_->find(name, option);
  const std::optional<std::size_t> guess = columns_->guess(candidates);
  SR_CHECK(guess, ErrorKind::data, "{}: which column holds {}? choose with {} out of: {}{}",
           reader_.name(), what, option, columns_->list(),
           header_ ? " (if this line is data, say so with --no-header and --columns)" : "");
  return *guess;
}

bool ColumnReader::next() {
  if (pending_) {
    pending_ = false;
    line_ = first_line_;
    return true;
  }
  while (reader_.next_line(line_))
    if (!line_.empty()) return true;
  return false;
}

const std::vector<std::string_view>* ColumnReader::fields(std::string& reason) {
  if (reader_.line_too_long()) {
    reason = fmt::format("longer than {} bytes", TextReader::kMaxLineBytes);
  } else if (std::memchr(line_.data(), '\0', line_.size())) {
    reason = "holds a NUL byte";
  } else if (!splitter_->split(line_)) {
    reason = "a quote is not closed";
  } else if (splitter_->fields().size() != columns_->size()) {
    reason = fmt::format("{} columns instead of {}", splitter_->fields().size(), columns_->size());
  } else {
    return &splitter_->fields();
  }
  return nullptr;
}

void read_events(const PrepareOptions& options, PrepareReport& report,
                 const std::function<void(const PrepareProgress&)>& progress,
                 const std::function<void(const TextEvent&)>& sink) {
  BadLines bad;
  std::optional<bool> timed;
  for (const std::string& path : options.inputs) {
    ColumnReader in(
        path, options.separator,
        options.has_header ? ColumnReader::Header::first_line : ColumnReader::Header::none,
        options.columns);
    const Columns columns = choose_columns(in, options);
    SR_CHECK(!timed || *timed == columns.time.has_value(), ErrorKind::data,
             "{}: one input has a time column and another has none; choose with --time", path);
    timed = columns.time.has_value();
    report.user_column = in.columns().name(columns.user);
    report.item_column = in.columns().name(columns.item);
    report.time_column = columns.time ? in.columns().name(*columns.time) : "";
    report.separator = in.separator();
    EventParser parser(columns);
    TextEvent event;
    std::string reason;
    while (in.next()) {
      event.ordinal = static_cast<std::uint64_t>(report.lines++);
      const auto* fields = in.fields(reason);
      if (fields && parser.parse(*fields, event, reason)) {
        sink(event);
      } else {
        bad.add(in.reader(), std::exchange(reason, {}));
      }
      if (progress && report.lines % 65536 == 0)
        progress({"reading lines", in.reader().bytes_read(), in.reader().bytes_total()});
    }
  }
  report.bad_lines = bad.count();
  report.first_bad_lines = bad.first();
  const std::string what = options.inputs.size() == 1 ? options.inputs[0] : "the inputs";
  SR_CHECK(report.lines > 0, ErrorKind::data, "{}: a header and no lines of data", what);
  bad.check(what, report.lines, options.bad_line_limit);
}

}  // namespace seqrank
