// Text, line by line, from a file or standard input, plain, gzip or zstd (told by the first bytes,
// not the name), in fixed memory. Takes off a UTF-8 byte order mark and CR LF.
// Does not know about columns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace seqrank {

class TextReader {
 public:
  // "-": standard input. Throws Error(data): missing, a folder, not readable, UTF-16.
  explicit TextReader(const std::string& path);
  ~TextReader();

  // The next line without its end, valid until the next call; false at the end. A line longer than
  // kMaxLineBytes comes cut, with line_too_long(). Throws Error(data) on damaged compressed data.
  bool next_line(std::string_view& line);
  bool line_too_long() const;
  std::int64_t line_number() const;  // of the last line, from 1
  std::int64_t bytes_read() const;   // as stored, before decompression
  std::int64_t bytes_total() const;  // as stored; 0 where it is not known
  const std::string& name() const;   // for messages

  static constexpr std::size_t kMaxLineBytes = 256 * 1024;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Plain ASCII and UTF-8 as they are; anything else read as Latin-1, written to `scratch` as UTF-8.
std::string_view to_utf8(std::string_view text, std::string& scratch);

}  // namespace seqrank
