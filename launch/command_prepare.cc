// seqrank prepare: text -> data set. Says what was read, what was dropped and why.
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "data/prepare.h"
#include "launch/command.h"
#include "launch/list.h"
#include "launch/memory_size.h"
#include "launch/output.h"
#include "launch/progress.h"
#include "launch/report.h"
#include "launch/table.h"

namespace seqrank {
namespace {

std::vector<OptionSpec> options() {
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
      {"max-length", OptionKind::integer, "0", "keep a user's latest events only; 0: all", "0.."},
      {"core-user", OptionKind::integer, "1",
       "drop users with fewer events (of those left by --max-length and --core-item)", "1.."},
      {"core-item", OptionKind::integer, "1",
       "drop items with fewer events; both again until nothing changes", "1.."},
      {"bad-lines", OptionKind::real, "0.001", "stop above this share of unreadable lines", "0..1"},
      {"memory", OptionKind::text, "1G", "memory to use, all in all: 256M, 4G"},
      {"temp", OptionKind::text, "", "folder for temporary files (default: that of the output)"},
      json_option(),
  };
}

std::string separator_of(const std::string& text) {
  return text == "tab" || text == "\\t" ? "\t" : text;
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
  options.max_length = given.integer("max-length");
  options.core_user = given.integer("core-user");
  options.core_item = given.integer("core-item");
  options.bad_line_limit = given.real("bad-lines");
  const std::int64_t memory = parse_memory_size("memory", given.text("memory"));
  options.memory_bytes = static_cast<std::size_t>(memory);
  options.temp_folder = given.text("temp");
  return options;
}

// The library's stages as one bar after another. It tells of steps on the way, not of ends: a stage
// is done when the next begins, or anew with another input, and the last when prepare() returns.
class StageBars {
 public:
  void show(const PrepareProgress& now) {
    if (bar_ == nullptr || stage_ != now.stage || now.done < done_) {
      finish();
      stage_ = now.stage;
      total_ = now.total;
      bar_ = std::make_unique<Progress>(stage_, "", total_);
    }
    done_ = now.done;
    bar_->update(done_);
  }
  void finish() {
    if (bar_ != nullptr && total_ > 0) bar_->update(total_);
    bar_ = nullptr;  // ends its line before the next begins
  }

 private:
  std::string stage_;
  std::int64_t done_ = 0;
  std::int64_t total_ = 0;
  std::unique_ptr<Progress> bar_;
};

void print_report(const PrepareReport& r, const std::string& output) {
  print_out(fmt::format("columns: user '{}', item '{}', time {}; separator {}\n", r.user_column,
                        r.item_column,
                        r.time_column.empty() ? "by order of lines" : "'" + r.time_column + "'",
                        r.separator == "\t" ? "tab" : "'" + r.separator + "'"));
  if (r.bad_lines > 0) {
    print_out(fmt::format("{} of {} lines could not be read and were left out:\n",
                          with_commas(r.bad_lines), with_commas(r.lines)));
    for (const BadLine& bad : r.first_bad_lines) {
      print_out(fmt::format("  {}:{}: {}\n", bad.file, bad.line, bad.reason));
    }
  }
  std::vector<std::vector<std::string>> rows = {
      {"lines", with_commas(r.lines)},
      {"users", with_commas(r.users)},
      {"items", with_commas(r.items)},
      {"events", with_commas(r.events)},
      {"titles", with_commas(r.titles)},
      {"tie rate", fmt::format("{:.4f}", r.tie_rate)},
      {"lines/s", with_commas(static_cast<std::int64_t>(r.lines_per_second))},
      {"seconds", fmt::format("{:.1f}", r.seconds)},
      {"temporary files", memory_words(r.temp_bytes)},
      {"item counters", memory_words(r.counter_bytes)}};
  const auto add_dropped = [&](const char* what, std::int64_t count) {
    if (count > 0) rows.push_back({std::string("dropped: ") + what, with_commas(count)});
  };
  add_dropped("events beyond --max-length", r.events_too_old);
  add_dropped("events of rare items", r.events_rare_item);
  add_dropped("events of short users", r.events_short_user);
  add_dropped("users", r.users_dropped);
  add_dropped("items", r.items_dropped);
  add_dropped("lines of the titles file", r.bad_titles);
  print_out(format_table({output, ""}, rows));
}

std::string report_json(const PrepareReport& r, const std::string& output) {
  nlohmann::ordered_json bad = nlohmann::ordered_json::array();
  for (const BadLine& line : r.first_bad_lines) {
    bad.push_back({{"file", line.file}, {"line", line.line}, {"reason", line.reason}});
  }
  const nlohmann::ordered_json json = {{"output", output},
                                       {"lines", r.lines},
                                       {"bad_lines", r.bad_lines},
                                       {"first_bad_lines", bad},
                                       {"users", r.users},
                                       {"items", r.items},
                                       {"events", r.events},
                                       {"titles", r.titles},
                                       {"tie_rate", r.tie_rate},
                                       {"events_too_old", r.events_too_old},
                                       {"events_rare_item", r.events_rare_item},
                                       {"events_short_user", r.events_short_user},
                                       {"users_dropped", r.users_dropped},
                                       {"items_dropped", r.items_dropped},
                                       {"core_rounds", r.core_rounds},
                                       {"seconds", r.seconds},
                                       {"lines_per_second", r.lines_per_second},
                                       {"temp_bytes", r.temp_bytes},
                                       {"counter_bytes", r.counter_bytes}};
  // Keys of people's files need not be UTF-8.
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void dry_run(const Options& given) {
  const PrepareOptions options = prepare_options(given);
  for (const std::string& input : options.inputs) {
    SR_CHECK(input == "-" || ::access(input.c_str(), R_OK) == 0, ErrorKind::data,
             "{}: cannot be read; is the path right?", input);
  }
  const auto folder = std::filesystem::absolute(options.output).parent_path();
  SR_CHECK(::access(folder.c_str(), W_OK) == 0, ErrorKind::data, "{}: cannot write into folder {}",
           options.output, folder.string());
  print_out(fmt::format("would read {} and write {}\n", given.text("input"), options.output));
}

int run(const Options& given, Communicator&) {
  const PrepareOptions options = prepare_options(given);
  StageBars bars;
  const PrepareReport report =
      prepare(options, [&bars](const PrepareProgress& now) { bars.show(now); });
  bars.finish();
  print_report(report, options.output);
  if (given.has("json")) write_file(given.text("json"), report_json(report, options.output));
  return 0;
}

}  // namespace

Command prepare_command() {
  Command command;
  command.name = "prepare";
  command.summary = "delimited text -> data set, in bounded memory";
  command.examples = {
      "seqrank prepare --input=ratings.csv.gz --user=user_id --item=item_id --time=timestamp "
      "--titles=movies.csv --output=ml.h5",
      "seqrank prepare --input=ml-1m.txt --no-header --columns=user,item --output=ml-1m.h5"};
  command.options = options();
  command.dry_run = dry_run;
  command.run = run;
  return command;
}

}  // namespace seqrank
