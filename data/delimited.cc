// Splitting works on views; only a field with doubled quotes is copied.
#include "data/delimited.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include "backend/check.h"

namespace seqrank {
namespace {

std::string_view without_suffix(std::string_view text, std::string_view suffix) {
  if (text.ends_with(suffix)) text.remove_suffix(suffix.size());
  return text;
}

// "user_id:token" of RecBole: the name without its type.
std::string_view without_type(std::string_view name) {
  for (const std::string_view type : {":token_seq", ":float_seq", ":token", ":float"})
    if (name.ends_with(type)) return without_suffix(name, type);
  return name;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string guess_separator(const std::string& path, std::string_view first_line) {
  std::string_view name = without_suffix(without_suffix(path, ".gz"), ".zst");
  const auto holds = [first_line](std::string_view s) {
    return first_line.find(s) != std::string_view::npos;
  };
  if (name.ends_with(".csv") && holds(",")) return ",";
  for (const std::string_view separator : {"\t", "::", ",", ";", " "})
    if (holds(separator)) return std::string(separator);
  return name.ends_with(".csv") ? "," : "\t";
}

LineSplitter::LineSplitter(std::string separator)
    : separator_(std::move(separator)), quotes_(separator_ == "," || separator_ == ";") {
  SR_CHECK(!separator_.empty(), ErrorKind::usage, "the separator is empty");
}

bool LineSplitter::split(std::string_view line) {
  if (quotes_ && line.find('"') != std::string_view::npos) return split_quoted(line);
  fields_.clear();
  const char* at = line.data();
  const char* const end = at + line.size();
  const char first = separator_[0];
  const std::size_t size = separator_.size();
  const char* look = at;
  while (look < end) {
    const void* found = std::memchr(look, first, static_cast<std::size_t>(end - look));
    if (!found) break;
    const char* stop = static_cast<const char*>(found);
    look = stop + 1;
    if (size > 1 &&
        std::string_view(stop, static_cast<std::size_t>(end - stop)).substr(0, size) != separator_)
      continue;
    fields_.emplace_back(at, static_cast<std::size_t>(stop - at));
    at = look = stop + size;
  }
  fields_.emplace_back(at, static_cast<std::size_t>(end - at));
  return true;
}

bool LineSplitter::split_quoted(std::string_view line) {
  fields_.clear();
  unquoted_.clear();
  unquoted_.reserve(line.size());  // views into it stay valid
  std::size_t i = 0;
  for (;;) {
    const std::size_t begin = unquoted_.size();
    if (i < line.size() && line[i] == '"') {
      ++i;
      for (;; ++i) {
        if (i >= line.size()) return false;
        if (line[i] == '"') {
          if (i + 1 >= line.size() || line[i + 1] != '"') break;
          ++i;
        }
        unquoted_.push_back(line[i]);
      }
      ++i;
    }
    while (i < line.size() && line[i] != separator_[0]) unquoted_.push_back(line[i++]);
    fields_.emplace_back(unquoted_.data() + begin, unquoted_.size() - begin);
    if (i >= line.size()) return true;
    ++i;
  }
}

ColumnNames::ColumnNames(std::string file, std::vector<std::string> names)
    : file_(std::move(file)), names_(std::move(names)) {}

std::string ColumnNames::list() const {
  std::string text;
  for (const std::string& name : names_) {
    if (text.size() > 300) return text + ", ...";
    text += (text.empty() ? "" : ", ") + name.substr(0, 60);
  }
  return text;
}

std::optional<std::size_t> ColumnNames::find_if_there(const std::string& name) const {
  for (std::size_t i = 0; i < names_.size(); ++i)
    if (names_[i] == name) return i;
  for (std::size_t i = 0; i < names_.size(); ++i)
    if (without_type(names_[i]) == without_type(name)) return i;
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size() && number >= 1 &&
      number <= names_.size())
    return number - 1;
  return std::nullopt;
}

std::size_t ColumnNames::find(const std::string& name, std::string_view option) const {
  if (const auto found = find_if_there(name)) return *found;
  const auto nearest = std::min_element(
      names_.begin(), names_.end(), [&name](const std::string& a, const std::string& b) {
        return edit_distance(lower(name), lower(without_type(a).substr(0, 60))) <
               edit_distance(lower(name), lower(without_type(b).substr(0, 60)));
      });
  throw Error(
      ErrorKind::data,
      fmt::format("{}: there is no column '{}'; nearest: '{}'; all: {}; choose with {}", file_,
                  name, nearest == names_.end() ? "" : nearest->substr(0, 60), list(), option));
}

std::optional<std::size_t> ColumnNames::guess(std::span<const std::string_view> candidates) const {
  for (const std::string_view candidate : candidates)
    for (std::size_t i = 0; i < names_.size(); ++i)
      if (lower(without_type(names_[i])) == candidate) return i;
  return std::nullopt;
}

namespace {

// `digits` decimal digits at the front of text, taken off; -1: there are not as many.
int take_digits(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return -1;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = 10 * value + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take_char(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text[0]) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// Days since 1970-01-01 of the proleptic Gregorian calendar; March is the first month of the year,
// so that the leap day comes last.
std::int64_t days_since_1970(int year, int month, int day) {
  const std::int64_t y = month <= 2 ? year - 1 : year;
  const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return 365 * y + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

std::optional<std::int64_t> parse_date(std::string_view text) {
  constexpr std::array<int, 12> kDays = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const int year = take_digits(text, 4);
  if (year < 0 || !take_char(text, "-/")) return std::nullopt;
  const int month = take_digits(text, 2);
  if (month < 1 || month > 12 || !take_char(text, "-/")) return std::nullopt;
  const int day = take_digits(text, 2);
  if (day < 1 || day > kDays[static_cast<std::size_t>(month - 1)]) return std::nullopt;
  const std::int64_t date = 86400 * days_since_1970(year, month, day);
  if (text.empty()) return date;
  if (!take_char(text, "T ")) return std::nullopt;
  const int hour = take_digits(text, 2);
  if (hour < 0 || hour > 23 || !take_char(text, ":")) return std::nullopt;
  const int minute = take_digits(text, 2);
  if (minute < 0 || minute > 59) return std::nullopt;
  int second = 0;
  if (take_char(text, ":")) {
    second = take_digits(text, 2);
    if (second < 0 || second > 60) return std::nullopt;
    if (take_char(text, "."))
      while (take_char(text, "0123456789")) {
      }
  }
  take_char(text, "Z");
  if (!text.empty()) return std::nullopt;
  return date + 3600 * hour + 60 * minute + second;
}

}  // namespace

std::optional<std::int64_t> parse_time(std::string_view text) {
  const char* const end = text.data() + text.size();
  std::int64_t whole = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, whole);
  if (error == std::errc() && stop == end) return whole;
  double number = 0;
  const auto [number_stop, number_error] = std::from_chars(text.data(), end, number);
  if (number_error == std::errc() && number_stop == end) {
    if (!(std::abs(number) < 9e18)) return std::nullopt;
    return static_cast<std::int64_t>(std::floor(number));
  }
  return parse_date(text);
}

}  // namespace seqrank
