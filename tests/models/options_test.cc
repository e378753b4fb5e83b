// What a value may look like, and the one line that says what is wrong with it.
#include "models/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/check.h"

namespace seqrank {
namespace {

using ::testing::HasSubstr;

std::vector<OptionSpec> specs() {
  return {{"model.width", OptionKind::integer, "64", "width of the hidden state", "1.."},
          {"model.cell", OptionKind::choice, "lstm", "recurrent cell", "lstm|gru"},
          {"model.dropout", OptionKind::real, "0.2", "share of values dropped", "0..0.99"},
          {"model.tied", OptionKind::flag, "yes", "one table for input and output"},
          {"train.batch", OptionKind::integer, "128", "sequences a step, over all ranks", "1.."},
          {"train.rate", OptionKind::real, "1e-3", "learning rate"},
          {"train.steps", OptionKind::integer, "", "steps to train"},
          {"data", OptionKind::text, "", "data set"}};
}

// The message of the refusal, or "" if the value is taken.
std::string refusal(const std::string& key, const std::string& value,
                    const std::string& where = "command line") {
  Options options(specs());
  try {
    options.set(key, value, where);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "";
}

TEST(Options, GivesDefaultsUntilSet) {
  Options options(specs());
  EXPECT_EQ(options.integer("model.width"), 64);
  EXPECT_DOUBLE_EQ(options.real("train.rate"), 1e-3);
  EXPECT_TRUE(options.flag("model.tied"));
  EXPECT_EQ(options.text("model.cell"), "lstm");
  EXPECT_FALSE(options.has("data"));
  options.set("data", "ml.h5", "command line");
  options.set("model.tied", "no", "command line");
  options.set("train.rate", "2.5E-4", "command line");
  options.set("model.cell", "gru", "command line");
  EXPECT_TRUE(options.has("data"));
  EXPECT_EQ(options.text("data"), "ml.h5");
  EXPECT_FALSE(options.flag("model.tied"));
  EXPECT_DOUBLE_EQ(options.real("train.rate"), 2.5e-4);
  EXPECT_EQ(options.text("model.cell"), "gru");
}

TEST(Options, TakesTheEndsOfARange) {
  EXPECT_EQ(refusal("model.width", "1"), "");
  EXPECT_EQ(refusal("model.dropout", "0"), "");
  EXPECT_EQ(refusal("model.dropout", "0.99"), "");
  EXPECT_EQ(refusal("train.steps", "-5"), "");  // declared without a range
}

TEST(Options, RefusesWhatIsNotWhollyOneValue) {
  for (const char* value : {"1e-3x", "1,5", "", " 1", "1 ", "nan", "inf", "1e999", "0x1p3", "+1"}) {
    EXPECT_NE(refusal("train.rate", value), "") << "'" << value << "'";
  }
  for (const char* value : {"12abc", "1.0", "1e3", "", "99999999999999999999", "64 "}) {
    EXPECT_NE(refusal("model.width", value), "") << "'" << value << "'";
  }
  for (const char* value : {"true", "1", "YES", ""}) {
    EXPECT_NE(refusal("model.tied", value), "") << "'" << value << "'";
  }
  EXPECT_NE(refusal("model.cell", "lstm|gru"), "");
  EXPECT_NE(refusal("data", ""), "");
}

TEST(Options, RefusesWhatIsOutOfRange) {
  EXPECT_NE(refusal("train.batch", "-1"), "");
  EXPECT_NE(refusal("train.batch", "0"), "");
  EXPECT_NE(refusal("model.dropout", "1"), "");
  EXPECT_NE(refusal("model.dropout", "-0.1"), "");
}

TEST(Options, RefusalNamesPlaceKeyValueAndWhatIsAllowed) {
  EXPECT_EQ(refusal("train.batch", "-1"),
            "command line: train.batch = '-1': it must be a whole number, at least 1");
  EXPECT_EQ(refusal("model.dropout", "1e-3x", "ml.ini:12"),
            "ml.ini:12: model.dropout = '1e-3x': it must be a number, from 0 to 0.99");
  EXPECT_EQ(refusal("model.cell", "rnn"),
            "command line: model.cell = 'rnn': it must be one of lstm, gru");
}

TEST(Options, UnknownKeyGetsTheNearestName) {
  EXPECT_THAT(
      refusal("model.widht", "3", "a.ini:7"),
      AllOf(HasSubstr("a.ini:7: unknown option 'model.widht'"), HasSubstr("'model.width'")));
  EXPECT_THAT(refusal("batch", "-1"), HasSubstr("did you mean 'train.batch'?"));
  EXPECT_THAT(refusal("zzzzzz", "1"), HasSubstr("--help"));
}

TEST(Options, RequiredValueThatIsMissingIsAUsageError) {
  Options options(specs());
  try {
    options.integer("train.steps");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), HasSubstr("'train.steps' needs a value"));
  }
}

TEST(Options, DeclaresMoreLater) {
  Options options(specs());
  options.declare({{"model.heads", OptionKind::integer, "2", "heads", "1..64"}});
  EXPECT_EQ(options.integer("model.heads"), 2);
  EXPECT_EQ(options.specs().size(), specs().size() + 1);
}

TEST(OptionsDeathTest, OurOwnMistakesAbort) {
  Options options(specs());
  EXPECT_DEATH(options.text("model.wdth"), "never declared");
  EXPECT_DEATH(options.integer("data"), "another kind");
  EXPECT_DEATH(options.declare(specs()), "declared twice");
}

}  // namespace
}  // namespace seqrank
