// Lines come out alike however the file is packed or its lines end; damage is named.
#include "data/text_reader.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

using test::Scratch;

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::vector<std::string> lines_of(const std::string& path) {
  TextReader reader(path);
  std::vector<std::string> lines;
  std::string_view line;
  while (reader.next_line(line)) {
    lines.emplace_back(line);
    EXPECT_EQ(reader.line_number(), static_cast<std::int64_t>(lines.size()));
  }
  return lines;
}

std::string gzip(const std::string& text) {
  std::string out(::compressBound(text.size()) + 100, '\0');
  z_stream state{};
  ::deflateInit2(&state, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  state.avail_in = static_cast<uInt>(text.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  ::deflate(&state, Z_FINISH);
  out.resize(state.total_out);
  ::deflateEnd(&state);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

// Longer than every buffer on the way.
std::string long_text() {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += fmt::format("line {}\n", i * 7919 % 200000);
  return text;
}

TEST(TextReader, LineEndsAndByteOrderMark) {
  Scratch scratch;
  const std::vector<std::string> wanted = {"a", "", "b c"};
  for (const char* text : {"a\n\nb c\n", "a\n\nb c", "a\r\n\r\nb c\r\n",
                           "\xef\xbb\xbf"
                           "a\r\n\nb c"}) {
    write(scratch.file("a"), text);
    EXPECT_EQ(lines_of(scratch.file("a")), wanted) << text;
  }
  write(scratch.file("a"), "");
  EXPECT_TRUE(lines_of(scratch.file("a")).empty());
  write(scratch.file("a"), "x");
  EXPECT_EQ(lines_of(scratch.file("a")), std::vector<std::string>{"x"});
}

TEST(TextReader, PackedTextsAreToldByTheirBytes) {
  Scratch scratch;
  const std::string text = long_text();
  write(scratch.file("plain"), text);
  const std::vector<std::string> wanted = lines_of(scratch.file("plain"));
  ASSERT_EQ(wanted.size(), 200000u);
  EXPECT_EQ(wanted[1], "line 7919");
  write(scratch.file("gz"), gzip(text));
  EXPECT_TRUE(lines_of(scratch.file("gz")) == wanted);
  write(scratch.file("zst"), zstd(text));
  EXPECT_TRUE(lines_of(scratch.file("zst")) == wanted);
  const std::size_t half = text.size() / 2;
  write(scratch.file("gz2"), gzip(text.substr(0, half)) + gzip(text.substr(half)));
  EXPECT_TRUE(lines_of(scratch.file("gz2")) == wanted);
  write(scratch.file("zst2"), zstd(text.substr(0, half)) + zstd("") + zstd(text.substr(half)));
  EXPECT_TRUE(lines_of(scratch.file("zst2")) == wanted);
}

TEST(TextReader, DamagedPackedTexts) {
  Scratch scratch;
  for (std::string packed : {gzip(long_text()), zstd(long_text())}) {
    write(scratch.file("cut"), packed.substr(0, packed.size() / 2));
    SR_EXPECT_ERROR(lines_of(scratch.file("cut")), ErrorKind::data, "cut off");
    for (std::size_t i = 40; i < 60; ++i) packed[i] = '\x55';
    write(scratch.file("bad"), packed);
    SR_EXPECT_ERROR(lines_of(scratch.file("bad")), ErrorKind::data, scratch.file("bad"));
  }
}

TEST(TextReader, OverlongLinesAreCutAndFlagged) {
  Scratch scratch;
  const std::size_t most = TextReader::kMaxLineBytes;
  const std::string fits(most, 'f');
  write(scratch.file("a"), "first\n" + std::string(5 * most, 'x') + "\n" + fits + "\nlast");
  TextReader reader(scratch.file("a"));
  std::string_view line;
  ASSERT_TRUE(reader.next_line(line));
  EXPECT_FALSE(reader.line_too_long());
  ASSERT_TRUE(reader.next_line(line));
  EXPECT_TRUE(reader.line_too_long());
  EXPECT_EQ(line.size(), most);
  ASSERT_TRUE(reader.next_line(line));
  EXPECT_FALSE(reader.line_too_long());
  EXPECT_EQ(line, fits);
  ASSERT_TRUE(reader.next_line(line));
  EXPECT_EQ(line, "last");
  EXPECT_EQ(reader.line_number(), 4);
  EXPECT_FALSE(reader.next_line(line));
}

TEST(TextReader, WhatCannotBeRead) {
  Scratch scratch;
  SR_EXPECT_ERROR(TextReader(scratch.file("absent")), ErrorKind::data, "cannot be opened");
  SR_EXPECT_ERROR(TextReader(scratch.path()), ErrorKind::data, "is a folder");
  write(scratch.file("utf16"), std::string("\xff\xfe\x61\0\n\0", 6));
  SR_EXPECT_ERROR(TextReader(scratch.file("utf16")), ErrorKind::data, "UTF-16");
}

TEST(ToUtf8, KeepsUtf8AndReadsTheRestAsLatin1) {
  std::string scratch;
  EXPECT_EQ(to_utf8("plain", scratch), "plain");
  EXPECT_EQ(to_utf8("\xc3\xa9t\xc3\xa9 \xf0\x9f\x8e\xac", scratch),
            "\xc3\xa9t\xc3\xa9 \xf0\x9f\x8e\xac");
  EXPECT_EQ(to_utf8("caf\xe9", scratch), "caf\xc3\xa9");
  // Overlong, surrogate, cut off, beyond Unicode: none of these is UTF-8.
  EXPECT_EQ(to_utf8("\xc0\xaf", scratch), "\xc3\x80\xc2\xaf");
  EXPECT_EQ(to_utf8("\xed\xa0\x80", scratch), "\xc3\xad\xc2\xa0\xc2\x80");
  EXPECT_EQ(to_utf8("\xe2\x82", scratch), "\xc3\xa2\xc2\x82");
  EXPECT_EQ(to_utf8("\xf5\x80\x80\x80", scratch), "\xc3\xb5\xc2\x80\xc2\x80\xc2\x80");
}

}  // namespace
}  // namespace seqrank
