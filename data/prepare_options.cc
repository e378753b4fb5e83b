// One rule, one message.
#include "data/prepare_options.h"

#include <filesystem>

#include "backend/check.h"

namespace seqrank {
namespace {

void check_file(const FeatureFile& file, const char* option) {
  SR_CHECK(file.path.empty() == file.features.empty(), ErrorKind::usage,
           "give both {0}, a file, and {0}-columns, its columns to take", option);
}

void check_values(const PrepareOptions& options) {
  check_file(options.user_features, "--user-features");
  check_file(options.item_features, "--item-features");
  SR_CHECK(!options.positive || !options.label_column.empty(), ErrorKind::usage,
           "--positive says from which number on a label is 1; give --label too");
  SR_CHECK(options.min_count >= 1, ErrorKind::usage, "--min-count is {}; it must be at least 1",
           options.min_count);
  SR_CHECK(options.interests >= 0, ErrorKind::usage, "--interests cannot be negative");
  SR_CHECK(options.interests > 0 || !options.interests_for, ErrorKind::usage,
           "--data.protocol says whose training events interests are found in; give --interests");
  for (const std::string& name : options.item_features.features)
    SR_CHECK(options.interests == 0 || (name != "interest" && name != "interest:number"),
             ErrorKind::usage,
             "--interests writes the items' feature interest; --item-features "
             "has one of that name");
  SR_CHECK(options.keep_domain.empty() || !options.domain_column.empty(), ErrorKind::usage,
           "--keep-domain={}: give the column of scenes too, --domain", options.keep_domain);
  SR_CHECK(options.keep_domain.empty() || options.validation_share == 0, ErrorKind::usage,
           "--validation-share would be of other sequences with --keep-domain; give one of them");
  if (options.history_column.empty()) return;
  SR_CHECK(options.action_column.empty() && options.domain_column.empty() &&
               options.event_features.empty(),
           ErrorKind::usage,
           "a history has only items and labels; leave out --action, --domain and "
           "--event-features");
  SR_CHECK(options.label_column.empty() == options.history_labels_column.empty(), ErrorKind::usage,
           "--label is of the targets and --history-labels of the histories; give both or none");
}

void check_splits(const PrepareOptions& options) {
  const int ways = !options.test_input.empty() + !options.split_column.empty() +
                   static_cast<int>(options.split_by_prefix);
  SR_CHECK(ways <= 1, ErrorKind::usage, "give one of --test, --split-column and --split-by-prefix");
  SR_CHECK(options.validation_share >= 0 && options.validation_share < 1, ErrorKind::usage,
           "--validation-share is {}; it must be at least 0 and less than 1",
           options.validation_share);
  SR_CHECK(options.validation_share == 0 || ways == 1, ErrorKind::usage,
           "--validation-share is of the training sequences; give --test, --split-column or "
           "--split-by-prefix too");
  SR_CHECK(!options.last_targets_only || ways == 1, ErrorKind::usage,
           "--targets=last is of validation and test sequences; give --test, --split-column or "
           "--split-by-prefix too");
  SR_CHECK(options.session_gap >= 0, ErrorKind::usage, "--session-gap cannot be negative");
  if (options.history_column.empty()) return;
  SR_CHECK(ways == 1, ErrorKind::usage,
           "targets of --history-column are to be predicted in validation and test; say which they "
           "are with --split-column, or give the rows as --test");
  SR_CHECK(options.core_user <= 1 && options.core_item <= 1, ErrorKind::usage,
           "--core-user and --core-item would drop targets of rows with a history; leave them out");
}

}  // namespace

void check_options(const PrepareOptions& options) {
  SR_CHECK(!options.inputs.empty(), ErrorKind::usage, "no input; give --input FILE or --input -");
  SR_CHECK(!options.output.empty(), ErrorKind::usage, "no output; give --output FILE.h5");
  SR_CHECK(!options.has_header || options.columns.empty(), ErrorKind::usage,
           "--columns names the columns of files without a header; give --no-header too");
  SR_CHECK(options.memory_bytes >= (std::size_t{1} << 20), ErrorKind::usage,
           "--memory is {} bytes; at least 1M is needed", options.memory_bytes);
  SR_CHECK(options.bad_line_limit >= 0 && options.bad_line_limit <= 1, ErrorKind::usage,
           "the limit of bad lines is {}; give a share between 0 and 1", options.bad_line_limit);
  SR_CHECK(options.max_length >= 0 && options.core_user >= 0 && options.core_item >= 0,
           ErrorKind::usage, "lengths and cores cannot be negative");
  SR_CHECK(
      options.max_length == 0 || options.max_length >= options.core_user, ErrorKind::usage,
      "no user would be left: each is cut to --max-length {} before --core-user {} is asked for",
      options.max_length, options.core_user);
  std::vector<std::string> inputs = options.inputs;
  for (const std::string& other :
       {options.titles, options.test_input, options.user_features.path, options.item_features.path})
    if (!other.empty()) inputs.push_back(other);
  for (const std::string& input : inputs) {
    std::error_code ignored;
    SR_CHECK(!std::filesystem::equivalent(input, options.output, ignored), ErrorKind::usage,
             "{}: is both input and output", input);
  }
  check_values(options);
  check_splits(options);
}

}  // namespace seqrank
