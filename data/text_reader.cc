// One buffer; a line is a view into it. Lines longer than the buffer are cut and flagged, so that
// a file without line ends costs no memory.
#include "data/text_reader.h"

#include <cstring>
#include <vector>

#include "backend/check.h"
#include "data/byte_source.h"

namespace seqrank {

struct TextReader::Impl {
  OpenedSource opened;
  std::vector<char> buffer = std::vector<char>(2 * kMaxLineBytes);
  std::size_t begin = 0, end = 0;
  std::int64_t line_number = 0;
  bool line_too_long = false;
  bool at_end = false;

  explicit Impl(const std::string& path) : opened(open_source(path)) {
    while (end < 4 && !at_end) fill();
    const std::string_view start(buffer.data(), end);
    SR_CHECK(!start.starts_with("\xff\xfe") && !start.starts_with("\xfe\xff"), ErrorKind::data,
             "{}: is UTF-16; convert it with iconv -f UTF-16 -t UTF-8", opened.name);
    if (start.starts_with("\xef\xbb\xbf")) begin = 3;
  }

  void fill() {
    std::memmove(buffer.data(), buffer.data() + begin, end - begin);
    end -= begin;
    begin = 0;
    const std::size_t n = opened.source->read(buffer.data() + end, buffer.size() - end);
    at_end = n == 0;
    end += n;
  }

  // The place of the next line end, looked for from begin + `from`; end where there is none yet.
  std::size_t find_end(std::size_t from) const {
    const void* found = std::memchr(buffer.data() + begin + from, '\n', end - begin - from);
    return found ? static_cast<std::size_t>(static_cast<const char*>(found) - buffer.data()) : end;
  }

  void skip_rest_of_line() {
    for (;;) {
      const std::size_t stop = find_end(0);
      const bool found = stop < end;
      begin = found ? stop + 1 : end;
      if (found || at_end) return;
      fill();
    }
  }
};

TextReader::TextReader(const std::string& path) : impl_(std::make_unique<Impl>(path)) {}
TextReader::~TextReader() = default;

bool TextReader::next_line(std::string_view& line) {
  Impl& m = *impl_;
  if (m.line_too_long) m.skip_rest_of_line();
  m.line_too_long = false;
  std::size_t stop = m.find_end(0);
  while (stop == m.end && !m.at_end && m.end - m.begin <= kMaxLineBytes) {
    const std::size_t seen = m.end - m.begin;
    m.fill();
    stop = m.find_end(seen);
  }
  if (m.begin == m.end) return false;
  ++m.line_number;
  m.line_too_long = stop - m.begin > kMaxLineBytes;
  if (m.line_too_long) stop = m.begin + kMaxLineBytes;
  line = std::string_view(m.buffer.data() + m.begin, stop - m.begin);
  m.begin = stop + (m.line_too_long || stop == m.end ? 0 : 1);
  if (!m.line_too_long && line.ends_with('\r')) line.remove_suffix(1);
  return true;
}

bool TextReader::line_too_long() const {
  return impl_->line_too_long;
}
std::int64_t TextReader::line_number() const {
  return impl_->line_number;
}
std::int64_t TextReader::bytes_read() const {
  return *impl_->opened.stored_bytes_read;
}
std::int64_t TextReader::bytes_total() const {
  return impl_->opened.stored_bytes;
}
const std::string& TextReader::name() const {
  return impl_->opened.name;
}

namespace {

// Length of the well-formed UTF-8 character at the start of `text`, which begins with a byte of
// 0x80 or more; 0: there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [text](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const unsigned first = byte(0);
  std::size_t length = 0;
  unsigned least = 0x80, most = 0xbf;  // of the second byte
  if (first >= 0xc2 && first <= 0xdf) length = 2;
  if (first >= 0xe0 && first <= 0xef) length = 3;
  if (first >= 0xf0 && first <= 0xf4) length = 4;
  if (first == 0xe0) least = 0xa0;
  if (first == 0xed) most = 0x9f;
  if (first == 0xf0) least = 0x90;
  if (first == 0xf4) most = 0x8f;
  if (length == 0 || byte(1) < least || byte(1) > most) return 0;
  for (std::size_t i = 2; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  return length;
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = utf8_length(text.substr(i));
    if (length == 0) return false;
    i += length;
  }
  return true;
}

bool is_ascii(std::string_view text) {
  unsigned char any = 0;
  for (const char c : text) any |= static_cast<unsigned char>(c);
  return any < 0x80;
}

}  // namespace

std::string_view to_utf8(std::string_view text, std::string& scratch) {
  if (is_ascii(text) || is_utf8(text)) return text;
  scratch.clear();
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      scratch.push_back(c);
    } else {
      scratch.push_back(static_cast<char>(0xc0 | byte >> 6));
      scratch.push_back(static_cast<char>(0x80 | (byte & 0x3f)));
    }
  }
  return scratch;
}

}  // namespace seqrank
