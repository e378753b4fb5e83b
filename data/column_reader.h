// A text file by columns: header, fields of each line, and the lines that are bad. Used for every
// text that prepare reads; what a field means is for others.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/delimited.h"
#include "data/prepare.h"
#include "data/text_reader.h"

namespace seqrank {

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

// Opens a text file and reads its header.
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

// The field as a key in UTF-8; the reason is set where it cannot be one.
std::string_view key_of(std::string_view field, std::string_view what, std::string& scratch,
                        std::string& reason);

}  // namespace seqrank
