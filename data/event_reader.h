// Input files of prepare as events: header, columns, bad lines. One pass, nothing kept.
// Does not sort, number or filter.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "data/delimited.h"
#include "data/prepare.h"
#include "data/text_reader.h"

namespace seqrank {

struct TextEvent {
  std::string_view user;  // UTF-8, not empty, at most kMaxKeyBytes
  std::string_view item;
  std::int64_t time;      // 0 where there is no time column
  std::uint64_t ordinal;  // place among all lines of all inputs
};

// Counts bad lines and keeps the first ten.
class BadLines {
 public:
  void add(const TextReader& reader, std::string reason);
  std::int64_t count() const { return count_; }
  const std::vector<BadLine>& first() const { return first_; }
  // Throws Error(data) where more than `limit` of `lines` were bad.
  void check(const std::string& what, std::int64_t lines, double limit) const;

 private:
  std::int64_t count_ = 0;
  std::vector<BadLine> first_;
};

// Opens a text file and reads its header. Used for the titles file too.
class ColumnReader {
 public:
  // `names` empty: the first line is the header. `headerless`: it is data, whether named or not.
  enum class Header { first_line, none };
  ColumnReader(const std::string& path, const std::string& separator, Header header,
               const std::vector<std::string>& names);

  const ColumnNames& columns() const { return *columns_; }
  const std::string& separator() const { return splitter_->separator(); }
  const TextReader& reader() const { return reader_; }
  // The column of this name or, where the name is empty, the first of the candidates there is.
  std::size_t choose(const std::string& name, std::span<const std::string_view> candidates,
                     std::string_view option, std::string_view what) const;
  // The next line that is not blank; false at the end.
  bool next();
  // Its fields; nothing where the line is bad, with the reason.
  const std::vector<std::string_view>* fields(std::string& reason);

 private:
  TextReader reader_;
  std::optional<LineSplitter> splitter_;
  std::optional<ColumnNames> columns_;
  std::string first_line_;  // of data, read before next()
  bool pending_ = false;
  bool header_;
  std::string_view line_;
};

// Fills the report's fields on columns and lines. Throws Error(data), also for too many bad lines.
void read_events(const PrepareOptions& options, PrepareReport& report,
                 const std::function<void(const PrepareProgress&)>& progress,
                 const std::function<void(const TextEvent&)>& sink);

}  // namespace seqrank
