// seqrank prepare: text -> data set. Says what was read, what was dropped and why.
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "backend/check.h"
#include "data/prepare.h"
#include "launch/command.h"
#include "launch/memory_size.h"
#include "launch/output.h"
#include "launch/prepare_options.h"
#include "launch/progress.h"
#include "launch/report.h"
#include "launch/table.h"

namespace seqrank {
namespace {

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
      {"sequences", with_commas(r.users)},
      {"items", with_commas(r.items)},
      {"events", with_commas(r.events)},
      {"titles", with_commas(r.titles)},
      {"tie rate", fmt::format("{:.4f}", r.tie_rate)},
      {"lines/s", with_commas(static_cast<std::int64_t>(r.lines_per_second))},
      {"seconds", fmt::format("{:.1f}", r.seconds)},
      {"temporary files", memory_words(r.temp_bytes)},
      {"item counters", memory_words(r.counter_bytes)}};
  const auto add = [&](const char* what, std::int64_t count) {
    if (count > 0) rows.push_back({what, with_commas(count)});
  };
  add("training sequences", r.training);
  add("validation sequences", r.validation);
  add("test sequences", r.test);
  add("items not in training", r.items_untrained);
  add("users without features", r.users_without_features);
  add("items without features", r.items_without_features);
  const auto add_dropped = [&](const char* what, std::int64_t count) {
    if (count > 0) rows.push_back({std::string("dropped: ") + what, with_commas(count)});
  };
  add_dropped("events beyond --max-length", r.events_too_old);
  add_dropped("events of rare items", r.events_rare_item);
  add_dropped("events of short users", r.events_short_user);
  add_dropped("events of other scenes", r.events_other_domain);
  add_dropped("users", r.users_dropped);
  add_dropped("items", r.items_dropped);
  add_dropped("lines of the titles file", r.bad_titles);
  add_dropped("lines of files of features", r.bad_features);
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
                                       {"training", r.training},
                                       {"validation", r.validation},
                                       {"test", r.test},
                                       {"items_untrained", r.items_untrained},
                                       {"users_without_features", r.users_without_features},
                                       {"items_without_features", r.items_without_features},
                                       {"tie_rate", r.tie_rate},
                                       {"events_too_old", r.events_too_old},
                                       {"events_rare_item", r.events_rare_item},
                                       {"events_short_user", r.events_short_user},
                                       {"events_other_domain", r.events_other_domain},
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
  std::vector<std::string> inputs = options.inputs;
  for (const std::string& other :
       {options.titles, options.test_input, options.user_features.path, options.item_features.path})
    if (!other.empty()) inputs.push_back(other);
  for (const std::string& input : inputs) {
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
      "seqrank prepare --input=ml-1m.txt --no-header --columns=user,item --output=ml-1m.h5",
      "seqrank prepare --input=ratings.csv --label=rating --positive=4 --item-features=movies.csv "
      "--item-features-columns=genre,year:number --output=ratings.h5",
      "seqrank prepare --input=sessions.tsv --test=test.tsv --history-column=prefix "
      "--output=sessions.h5"};
  command.options = prepare_option_specs();
  command.dry_run = dry_run;
  command.run = run;
  return command;
}

}  // namespace seqrank
