// What people's editors write is read; what is ambiguous is refused with file and line.
#include "models/ini_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/check.h"

namespace seqrank {
namespace {

using ::testing::HasSubstr;

std::string refusal(const std::string& text) {
  try {
    parse_ini(text, "a.ini");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "";
}

TEST(IniFile, ReadsSectionsCommentsAndDottedKeys) {
  const auto entries = parse_ini(
      "data = ml.h5\n"
      "\n"
      "# a comment\n"
      "[model]\n"
      "  width =  64 \n"
      "; another\n"
      "name=attention_rnn\n"
      "[train]\n"
      "note = a = b # kept\n",
      "a.ini");
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].key, "data");
  EXPECT_EQ(entries[0].where, "a.ini:1");
  EXPECT_EQ(entries[1].key, "model.width");
  EXPECT_EQ(entries[1].value, "64");
  EXPECT_EQ(entries[1].where, "a.ini:5");
  EXPECT_EQ(entries[2].value, "attention_rnn");
  EXPECT_EQ(entries[3].value, "a = b # kept");
}

TEST(IniFile, ToleratesByteOrderMarkAndCrLf) {
  const auto entries = parse_ini("\xEF\xBB\xBF[model]\r\nwidth = 64\r\n", "a.ini");
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].key, "model.width");
  EXPECT_EQ(entries[0].value, "64");
  EXPECT_EQ(entries[0].where, "a.ini:2");
}

TEST(IniFile, RefusesAKeyGivenTwice) {
  const std::string message = refusal("[model]\nwidth = 1\n[train]\nsteps = 2\n[model]\nwidth = 3");
  EXPECT_THAT(message, HasSubstr("a.ini:6: model.width is already given at a.ini:2"));
  EXPECT_THAT(refusal("model.width = 1\n[model]\nwidth = 1\n"), HasSubstr("a.ini:3"));
}

TEST(IniFile, RefusesWhatIsNoIni) {
  EXPECT_THAT(refusal("width\n"), HasSubstr("a.ini:1"));
  EXPECT_THAT(refusal("[model\nwidth = 1\n"), HasSubstr("a.ini:1"));
  EXPECT_THAT(refusal("\n= 1\n"), HasSubstr("a.ini:2"));
  EXPECT_THAT(refusal(std::string("a\0b", 3)), HasSubstr("not a text file"));
  EXPECT_EQ(refusal(""), "");
}

TEST(IniFile, MissingFileIsAUsageError) {
  try {
    read_ini("/nonexistent/x.ini");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), HasSubstr("/nonexistent/x.ini"));
  }
}

TEST(IniFile, WhatIsWrittenReadsBackTheSame) {
  const std::vector<OptionSpec> specs = {
      {"model.width", OptionKind::integer, "64", "width", "1.."},
      {"data", OptionKind::text, "", "data set"},
      {"train.rate", OptionKind::real, "1e-3", "rate"},
      {"run", OptionKind::text, "", "run folder"},
      {"model.cell", OptionKind::choice, "lstm", "cell", "lstm|gru"}};
  Options written(specs);
  written.set("data", "a b.h5", "test");
  written.set("model.cell", "gru", "test");
  Options read(specs);
  for (const IniEntry& entry : parse_ini(to_ini(written), "x.ini")) {
    read.set(entry.key, entry.value, entry.where);
  }
  for (const OptionSpec& spec : specs) EXPECT_EQ(read.text(spec.key), written.text(spec.key));
  EXPECT_FALSE(read.has("run"));
}

}  // namespace
}  // namespace seqrank
