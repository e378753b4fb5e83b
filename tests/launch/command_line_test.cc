// Who wins, what is refused, and the line that says so.
#include "launch/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "backend/check.h"

namespace seqrank {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Words = std::vector<std::string>;

Command fake_command() {
  Command command;
  command.name = "train";
  command.summary = "trains";
  command.examples = {"seqrank train --data=ml.h5"};
  command.options = {{"data", OptionKind::text, "", "data set"},
                     {"model.name", OptionKind::choice, "rnn", "which model", "rnn|markov"},
                     {"train.batch", OptionKind::integer, "128", "sequences a step", "1.."},
                     {"train.rate", OptionKind::real, "1e-3", "learning rate", "0.."},
                     {"no-header", OptionKind::flag, "no", "the text has no header"}};
  command.more_options = [](const Options& known) -> std::vector<OptionSpec> {
    if (known.text("model.name") == "markov") {
      return {{"model.order", OptionKind::integer, "1", "events looked back", "1..3"}};
    }
    return {{"model.width", OptionKind::integer, "64", "width", "1.."}};
  };
  return command;
}

Command bare_command() {
  Command command;
  command.name = "inspect";
  command.bare_word = "path";
  command.options = {{"path", OptionKind::text, "", "what to look at"}};
  return command;
}

// The bare word decides about options, and one of these about more: as `bench` does.
Command nested_command() {
  Command command;
  command.name = "bench";
  command.bare_word = "what";
  command.options = {{"what", OptionKind::choice, "", "what to measure", "step|link"}};
  command.more_options = [](const Options& known) -> std::vector<OptionSpec> {
    if (known.text("what") == "link") return {{"gbit", OptionKind::real, "1", "rate", "0.."}};
    std::vector<OptionSpec> more = {{"model.name", OptionKind::text, "rnn", "which model"}};
    if (known.declares("model.name") && known.text("model.name") == "markov")
      more.push_back({"model.order", OptionKind::integer, "1", "events looked back", "1..3"});
    return more;
  };
  return command;
}

Options parse(const Words& words) {
  return parse_command_line(fake_command(), words).options;
}

std::string refusal(const Words& words, const Command& command = fake_command()) {
  try {
    parse_command_line(command, words);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "";
}

// An INI file that is gone when the test is.
class IniFile {
 public:
  explicit IniFile(const std::string& text)
      : path_(fmt::format("{}command_line_test_{}.ini", ::testing::TempDir(), ::getpid())) {
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~IniFile() { std::remove(path_.c_str()); }
  std::string option() const { return "--config=" + path_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(CommandLine, LetsTheBareWordAndThenOptionsDecideAboutOptions) {
  const auto options = [](const Words& words) {
    return parse_command_line(nested_command(), words).options;
  };
  EXPECT_EQ(options({"link", "--gbit=2"}).real("gbit"), 2);
  EXPECT_FALSE(options({"link"}).declares("model.name"));
  const Options markov = options({"step", "--model.name", "markov", "--model.order=3"});
  EXPECT_EQ(markov.text("what"), "step");
  EXPECT_EQ(markov.integer("model.order"), 3);
  EXPECT_EQ(options({"--model.name=markov", "step"}).text("what"), "step");
  EXPECT_THAT(refusal({"step", "--gbit=2"}, nested_command()), HasSubstr("'gbit'"));
  EXPECT_THAT(refusal({"lnik"}, nested_command()), HasSubstr("what = 'lnik'"));
  EXPECT_THAT(refusal({"step", "link"}, nested_command()), HasSubstr("'link' is not expected"));
}

TEST(CommandLine, ReadsBothWaysOfWritingAValue) {
  const Options options = parse({"--data=a.h5", "--train.batch", "64", "--no-header"});
  EXPECT_EQ(options.text("data"), "a.h5");
  EXPECT_EQ(options.integer("train.batch"), 64);
  EXPECT_TRUE(options.flag("no-header"));
  EXPECT_DOUBLE_EQ(options.real("train.rate"), 1e-3);
  EXPECT_FALSE(parse({"--no-header=no"}).flag("no-header"));
}

TEST(CommandLine, CommandLineWinsOverFile) {
  const IniFile file("data = file.h5\n[train]\nbatch = 32\nrate = 0.5\n");
  for (const Words& words :
       {Words{file.option(), "--train.batch=16"}, Words{"--train.batch=16", file.option()}}) {
    const Options options = parse(words);
    EXPECT_EQ(options.integer("train.batch"), 16);
    EXPECT_DOUBLE_EQ(options.real("train.rate"), 0.5);
    EXPECT_EQ(options.text("data"), "file.h5");
  }
}

TEST(CommandLine, ModelOptionsFollowTheModelFromEitherSource) {
  EXPECT_EQ(parse({"--model.width", "8"}).integer("model.width"), 8);
  EXPECT_EQ(parse({"--model.order=2", "--model.name=markov"}).integer("model.order"), 2);
  const IniFile file("[model]\nname = markov\norder = 3\n");
  EXPECT_EQ(parse({file.option()}).integer("model.order"), 3);
  EXPECT_THAT(refusal({"--model.name=markov", "--model.width=8"}),
              HasSubstr("unknown option 'model.width'"));
}

TEST(CommandLine, RefusesUnknownWithNearestName) {
  EXPECT_THAT(refusal({"--train.bacth=3"}), HasSubstr("did you mean 'train.batch'?"));
  EXPECT_THAT(refusal({"--batch=-1"}), HasSubstr("did you mean 'train.batch'?"));
  EXPECT_THAT(refusal({"--train.bacth", "3"}), HasSubstr("did you mean 'train.batch'?"));
  EXPECT_THAT(refusal({"--dat=x"}), HasSubstr("did you mean 'data'?"));  // no abbreviations
  const IniFile file("[train]\n\nbacth = 3\n");
  EXPECT_THAT(refusal({file.option()}),
              AllOf(HasSubstr(file.path() + ":3"), HasSubstr("'train.batch'")));
}

TEST(CommandLine, RefusesBadValuesFromEitherSource) {
  EXPECT_THAT(refusal({"--train.batch=-1"}), HasSubstr("train.batch = '-1'"));
  EXPECT_THAT(refusal({"--train.batch", "-1"}), HasSubstr("train.batch = '-1'"));
  EXPECT_THAT(refusal({"--train.rate=1e-3x"}), HasSubstr("'1e-3x'"));
  EXPECT_NE(refusal({"--train.batch="}), "");
  EXPECT_NE(refusal({"--train.batch"}), "");
  const IniFile file("[train]\nrate = 1e-3x\n");
  EXPECT_THAT(refusal({file.option()}), HasSubstr(file.path() + ":2"));
  // Overridden, and still wrong.
  EXPECT_THAT(refusal({file.option(), "--train.rate=1"}), HasSubstr(file.path() + ":2"));
}

TEST(CommandLine, RefusesWhatIsAmbiguous) {
  EXPECT_THAT(refusal({"--data=a", "--data=b"}),
              HasSubstr("'--data' cannot be specified more than once"));
  EXPECT_THAT(refusal({"a.h5"}), HasSubstr("'a.h5' is not expected"));
  EXPECT_THAT(refusal({"-x"}), HasSubstr("unknown option '-x'"));
  EXPECT_THAT(refusal({"--config=/nonexistent.ini"}), HasSubstr("/nonexistent.ini"));
  EXPECT_THAT(refusal({"--config"}), HasSubstr("--config needs"));
  EXPECT_THAT(refusal({"--config="}), HasSubstr("--config needs"));
  EXPECT_THAT(refusal({"--data="}), HasSubstr("--data needs a value"));
  EXPECT_THAT(refusal({"--data"}), HasSubstr("--data needs a value"));
  const IniFile file("dry-run = yes\n");
  EXPECT_THAT(refusal({file.option()}), HasSubstr("belongs on the command line"));
}

TEST(CommandLine, OneBareWordWhereTheCommandTakesOne) {
  const Invocation invocation = parse_command_line(bare_command(), {"a.h5"});
  EXPECT_EQ(invocation.options.text("path"), "a.h5");
  EXPECT_THAT(refusal({"a.h5", "b.h5"}, bare_command()), HasSubstr("'b.h5' is not expected"));
  EXPECT_THAT(refusal({"--path=a.h5", "b.h5"}, bare_command()), HasSubstr("'b.h5'"));
}

TEST(CommandLine, KnowsWhatIsAskedFor) {
  EXPECT_EQ(parse_command_line(fake_command(), {}).request, Request::run);
  EXPECT_EQ(parse_command_line(fake_command(), {"--help"}).request, Request::help);
  EXPECT_EQ(parse_command_line(fake_command(), {"-h"}).request, Request::help);
  EXPECT_EQ(parse_command_line(fake_command(), {"--print-config"}).request, Request::print_config);
  EXPECT_EQ(parse_command_line(fake_command(), {"--dry-run"}).request, Request::dry_run);
  EXPECT_NE(refusal({"--help=yes"}), "");
}

TEST(CommandLine, HelpShowsDefaultsRangesAndModelOptions) {
  const Invocation invocation = parse_command_line(fake_command(), {"--help"});
  const std::string help = command_help(fake_command(), invocation.options);
  EXPECT_THAT(help, HasSubstr("--train.batch"));
  EXPECT_THAT(help, HasSubstr("[128]"));
  EXPECT_THAT(help, HasSubstr("1.."));
  EXPECT_THAT(help, HasSubstr("rnn|markov"));
  EXPECT_THAT(help, HasSubstr("--model.width"));
  EXPECT_THAT(help, HasSubstr("--dry-run"));
  EXPECT_THAT(program_help({fake_command()}), HasSubstr("train"));
  const std::string bare = command_help(bare_command(), Options(bare_command().options));
  EXPECT_THAT(bare, AllOf(HasSubstr("  PATH "), Not(HasSubstr("--path"))));
}

}  // namespace
}  // namespace seqrank
