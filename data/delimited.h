// Lines of delimited text as fields, and columns by name: "user_id:token" is found as "user_id"
// too. A quoted field ("a, b") may hold the separator where the separator is a comma or semicolon,
// but never a line end. Numbers and dates of a time column are read here as well.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace seqrank {

// By the name's ending and the first line: comma, tab, "::", semicolon or space.
std::string guess_separator(const std::string& path, std::string_view first_line);

class LineSplitter {
 public:
  explicit LineSplitter(std::string separator);
  const std::string& separator() const { return separator_; }
  // The fields, valid until the next call and as long as `line`. False: a quote is not closed.
  bool split(std::string_view line);
  const std::vector<std::string_view>& fields() const { return fields_; }

 private:
  bool split_quoted(std::string_view line);

  std::string separator_;
  bool quotes_;
  std::vector<std::string_view> fields_;
  std::string unquoted_;
};

class ColumnNames {
 public:
  ColumnNames(std::string file, std::vector<std::string> names);
  std::size_t size() const { return names_.size(); }
  const std::string& name(std::size_t column) const { return names_[column]; }
  // By name, with or without the type suffix, or by number from 1. Throws Error(data) that lists
  // the columns there are; `option` is what to give instead.
  std::size_t find(const std::string& name, std::string_view option) const;
  // The same; nothing where there is no such column.
  std::optional<std::size_t> find_if_there(const std::string& name) const;
  // The first of the candidates that there is, whatever its case.
  std::optional<std::size_t> guess(std::span<const std::string_view> candidates) const;
  std::string list() const;

 private:
  std::string file_;
  std::vector<std::string> names_;
};

// Seconds since 1970 (UTC): 1700000000, 1700000000.25 and 1.7e9 (the fraction is cut off),
// 2023-11-14, 2023-11-14T22:13:20Z, 2023-11-14 22:13:20.5. Nothing: it is none of these.
std::optional<std::int64_t> parse_time(std::string_view text);

}  // namespace seqrank
