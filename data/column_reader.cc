// The first line decides separator and columns.
#include "data/column_reader.h"

#include <fmt/core.h>

#include <cstring>
#include <utility>

#include "backend/check.h"
#include "data/record.h"

namespace seqrank {

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

std::size_t ColumnReader::choose(const std::string& name,
                                 std::span<const std::string_view> candidates,
                                 std::string_view option, std::string_view what) const {
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

std::string_view key_of(std::string_view field, std::string_view what, std::string& scratch,
                        std::string& reason) {
  const std::string_view key = to_utf8(field, scratch);
  if (key.empty()) reason = fmt::format("no {}", what);
  if (key.size() > kMaxKeyBytes)
    reason = fmt::format("the {} is longer than {} bytes", what, kMaxKeyBytes);
  return key;
}

}  // namespace seqrank
