// One option, one field.
#include "launch/prepare_options.h"

#include "backend/check.h"
#include "launch/list.h"
#include "launch/memory_size.h"
#include "launch/report.h"

namespace seqrank {
namespace {

std::vector<OptionSpec> column_options() {
  return {
      {"input", OptionKind::text, "",
       "delimited text, .gz and .zst too; several with commas between; - is standard input"},
      {"output", OptionKind::text, "", "the data set to write (.h5)"},
      {"user", OptionKind::text, "", "column of the user (default: guessed from its name)"},
      {"item", OptionKind::text, "", "column of the item (default: guessed)"},
      {"time", OptionKind::text, "",
       "column of the time, seconds since 1970 or ISO 8601 (default: guessed); none: the order of "
       "the lines is the order of time"},
      {"no-header", OptionKind::flag, "no", "the first line is data already"},
      {"columns", OptionKind::text, "", "names of the columns where there is no header: user,item"},
      {"separator", OptionKind::text, "", "between columns; tab for a tab (default: guessed)"},
      {"titles", OptionKind::text, "", "text file of item keys and titles"},
      {"titles-item", OptionKind::text, "", "its column of the item (default: guessed)"},
      {"titles-title", OptionKind::text, "", "its column of the title (default: guessed)"},
      {"titles-columns", OptionKind::text, "", "names of its columns where it has no header"},
      {"titles-separator", OptionKind::text, "", "between its columns (default: guessed)"},
  };
}

std::vector<OptionSpec> value_options() {
  return {
      {"action", OptionKind::text, "", "column of what was done (view, buy; a rating)"},
      {"domain", OptionKind::text, "", "column of the scene in which it was done"},
      {"label", OptionKind::text, "", "column of 0 and 1, or of numbers with --positive"},
      {"positive", OptionKind::real, "", "from which number on the label is 1"},
      {"event-features", OptionKind::text, "",
       "more columns to keep: place,price:number (of a list a|b the first value)"},
      {"user-features", OptionKind::text, "", "text file of features of users"},
      {"user-features-columns", OptionKind::text, "", "which: gender,age:number"},
      {"user-features-key", OptionKind::text, "", "its column of the user (default: guessed)"},
      {"user-features-header", OptionKind::text, "", "names of its columns where it has no header"},
      {"item-features", OptionKind::text, "", "text file of features of items"},
      {"item-features-columns", OptionKind::text, "", "which: genre,year:number"},
      {"item-features-key", OptionKind::text, "", "its column of the item (default: guessed)"},
      {"item-features-header", OptionKind::text, "", "names of its columns where it has no header"},
      {"min-count", OptionKind::integer, "1",
       "values of features that are seen less often count as unknown", "1.."},
  };
}

std::vector<OptionSpec> sequence_options() {
  return {
      {"session-gap", OptionKind::integer, "0",
       "cut a user's events where none follows for more than so many seconds; 0: never", "0.."},
      {"history-column", OptionKind::text, "",
       "column of items that came before; each row is a sequence, ending in its target"},
      {"history-labels", OptionKind::text, "", "column of their labels (with --label)"},
      {"target", OptionKind::text, "", "column of the target of such rows (default: guessed)"},
      {"test", OptionKind::text, "", "text file whose sequences are the test split"},
      {"split-column", OptionKind::text, "", "column that says which split a line is of"},
      {"split-by-prefix", OptionKind::flag, "no", "the user's key says it"},
      {"split-training", OptionKind::text, "train", "how names of the training split begin"},
      {"split-validation", OptionKind::text, "valid,eval,dev", "likewise, validation"},
      {"split-test", OptionKind::text, "test", "likewise, test"},
      {"validation-share", OptionKind::real, "0",
       "share of training sequences, the last ones, to use for validation", "0..0.9"},
      {"targets", OptionKind::choice, "all",
       "of validation and test sequences, to be predicted: all: every event but the first (of rows "
       "with a history: theirs); last: the last event alone",
       "all|last"},
      {"max-length", OptionKind::integer, "0", "keep a user's latest events only; 0: all", "0.."},
      {"core-user", OptionKind::integer, "1",
       "drop users with fewer events (of those left by --max-length and --core-item)", "1.."},
      {"core-item", OptionKind::integer, "1",
       "drop items with fewer events; both again until nothing changes", "1.."},
      {"interests", OptionKind::integer, "0",
       "group items by who has them, and write the groups as the items' feature interest; 0: no",
       "0..1000000"},
      {"data.protocol", OptionKind::choice, "",
       "protocol that will be trained under: interests are found in what it leaves for training; "
       "without it, session where the input says splits, else p1",
       "p1|temporal|session|ctr"},
      {"data.validation_from", OptionKind::integer, "",
       "protocol temporal: the cut in seconds since 1970 where training ends; without it, from the "
       "shares of events that follow"},
      {"data.validation_share", OptionKind::real, "0.1", "of events, for validation", "0.001..0.9"},
      {"data.test_share", OptionKind::real, "0.1", "of events, for the test", "0.001..0.9"},
      {"keep-domain", OptionKind::text, "",
       "write the events of this scene alone; interests are found in all"},
      {"bad-lines", OptionKind::real, "0.001", "stop above this share of unreadable lines", "0..1"},
      {"memory", OptionKind::text, "1G", "memory to use, all in all: 256M, 4G"},
      {"temp", OptionKind::text, "", "folder for temporary files (default: that of the output)"},
      json_option(),
  };
}

std::string separator_of(const std::string& text) {
  return text == "tab" || text == "\\t" ? "\t" : text;
}

FeatureFile feature_file(const Options& given, const std::string& name) {
  FeatureFile file;
  file.path = given.text(name);
  file.key_column = given.text(name + "-key");
  file.features = split_list(name + "-columns", given.text(name + "-columns"));
  file.columns = split_list(name + "-header", given.text(name + "-header"));
  return file;
}

void set_values(const Options& given, PrepareOptions& options) {
  options.action_column = given.text("action");
  options.domain_column = given.text("domain");
  options.label_column = given.text("label");
  if (given.has("positive")) options.positive = given.real("positive");
  options.event_features = split_list("event-features", given.text("event-features"));
  options.user_features = feature_file(given, "user-features");
  options.item_features = feature_file(given, "item-features");
  options.min_count = given.integer("min-count");
}

void set_sequences(const Options& given, PrepareOptions& options) {
  options.session_gap = given.integer("session-gap");
  options.history_column = given.text("history-column");
  options.history_labels_column = given.text("history-labels");
  options.target_column = given.text("target");
  options.test_input = given.text("test");
  options.split_column = given.text("split-column");
  options.split_by_prefix = given.flag("split-by-prefix");
  options.training_names = split_list("split-training", given.text("split-training"));
  options.validation_names = split_list("split-validation", given.text("split-validation"));
  options.test_names = split_list("split-test", given.text("split-test"));
  options.validation_share = given.real("validation-share");
  options.last_targets_only = given.text("targets") == "last";
  options.max_length = given.integer("max-length");
  options.core_user = given.integer("core-user");
  options.core_item = given.integer("core-item");
  options.interests = given.integer("interests");
  if (given.has("data.protocol")) {
    ProtocolOptions& wanted = options.interests_for.emplace();
    wanted.kind = protocol_from_name(given.text("data.protocol"));
    if (given.has("data.validation_from"))
      wanted.validation_from = given.integer("data.validation_from");
    wanted.validation_share = given.real("data.validation_share");
    wanted.test_share = given.real("data.test_share");
  }
  options.keep_domain = given.text("keep-domain");
}

}  // namespace

std::vector<OptionSpec> prepare_option_specs() {
  std::vector<OptionSpec> all = column_options();
  for (const auto& part : {value_options(), sequence_options()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

PrepareOptions prepare_options(const Options& given) {
  SR_CHECK(given.has("input"), ErrorKind::usage,
           "--input is missing: the text to read, for example --input=ratings.csv");
  SR_CHECK(given.has("output"), ErrorKind::usage,
           "--output is missing: the data set to write, for example --output=ratings.h5");
  PrepareOptions options;
  options.inputs = split_list("input", given.text("input"));
  options.output = given.text("output");
  options.user_column = given.text("user");
  options.item_column = given.text("item");
  options.time_column = given.text("time");
  options.has_header = !given.flag("no-header");
  options.columns = split_list("columns", given.text("columns"));
  options.separator = separator_of(given.text("separator"));
  options.titles = given.text("titles");
  options.titles_item_column = given.text("titles-item");
  options.titles_title_column = given.text("titles-title");
  options.titles_columns = split_list("titles-columns", given.text("titles-columns"));
  options.titles_separator = separator_of(given.text("titles-separator"));
  set_values(given, options);
  set_sequences(given, options);
  options.bad_line_limit = given.real("bad-lines");
  const std::int64_t memory = parse_memory_size("memory", given.text("memory"));
  options.memory_bytes = static_cast<std::size_t>(memory);
  options.temp_folder = given.text("temp");
  return options;
}

}  // namespace seqrank
