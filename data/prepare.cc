// The passes: lines sorted by item; items counted and numbered, the same events sorted by user and
// time; users grouped, filtered and written. A record carries the key it is sorted by next, so no
// pass looks anything up.
#include "data/prepare.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <limits>
#include <memory>

#include "backend/check.h"
#include "data/dataset_writer.h"
#include "data/event_reader.h"
#include "data/external_sort.h"
#include "data/item_text.h"
#include "data/k_core.h"
#include "data/record.h"
#include "data/user_events.h"

namespace seqrank {
namespace {

constexpr std::size_t kBuffer = 256 * 1024;
constexpr std::int64_t kProgressEvery = 65536;

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
  if (!options.titles.empty()) inputs.push_back(options.titles);
  for (const std::string& input : inputs) {
    std::error_code ignored;
    SR_CHECK(!std::filesystem::equivalent(input, options.output, ignored), ErrorKind::usage,
             "{}: is both input and output", input);
  }
}

std::string temp_folder_of(const PrepareOptions& options) {
  if (!options.temp_folder.empty()) return options.temp_folder;
  const std::filesystem::path folder = std::filesystem::path(options.output).parent_path();
  return folder.empty() ? "." : folder.string();
}

class Preparation {
 public:
  Preparation(const PrepareOptions& options,
              const std::function<void(const PrepareProgress&)>& progress)
      : options_(options),
        progress_(progress),
        // Program, libraries, readers and the writer's own buffers.
        memory_(options.memory_bytes -
                std::min<std::size_t>(options.memory_bytes / 4, std::size_t{56} << 20)),
        temp_(temp_folder_of(options)),
        writer_(options.output) {}

  PrepareReport run() {
    const auto start = std::chrono::steady_clock::now();
    titles_ = read_titles(options_, temp_, {memory_ / 4, memory_ / 16}, report_);
    sort_by_item();
    sort_by_user();
    group_users();
    filter();
    report_.items = number_by_frequency(count_V_);
    write_sequences();
    write_item_text(*item_keys_, count_V_, titles_.get(), temp_, memory_, writer_, report_);
    writer_.set_attribute("tie_rate", report_.tie_rate);
    writer_.set_attribute("tie_rule", std::string("order of lines"));
    writer_.finish(report_.items);
    report_.temp_bytes = temp_.peak_bytes();
    report_.counter_bytes = static_cast<std::int64_t>(count_V_.capacity() * sizeof(std::uint32_t));
    report_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    report_.lines_per_second = static_cast<double>(report_.lines) / report_.seconds;
    return report_;
  }

 private:
  void tell(const char* stage, std::int64_t done, std::int64_t total) const {
    if (progress_ && done % kProgressEvery == 0) progress_({stage, done, total});
  }

  // Records (item, order in the file, time, user).
  void sort_by_item() {
    by_item_ = std::make_unique<ExternalSort>(temp_, SortMemory{memory_ / 4 * 3, memory_ / 4});
    std::string record;
    read_events(options_, report_, progress_, [&](const TextEvent& event) {
      record.clear();
      put_key(record, event.item);
      put_number(record, event.ordinal, 6);
      put_time(record, event.time);
      put_key(record, event.user);
      by_item_->add(record);
    });
    by_item_->finish();
  }

  // Records (user, time, order in the file, item as a number in the order of keys).
  void sort_by_user() {
    item_keys_ = std::make_unique<TempFile>(temp_);
    by_user_ = std::make_unique<ExternalSort>(temp_, SortMemory{memory_ / 2, memory_ / 4});
    std::string item, moved;
    std::string_view record;
    std::uint64_t items = 0;
    std::int64_t done = 0;
    while (by_item_->next(record)) {
      const std::string_view key = take_key(record);
      if (key != item) {
        item = key;
        item_keys_->append_record(item);
        ++items;
      }
      moved = record.substr(14);  // the user
      moved += record.substr(6, 8);
      moved += record.substr(0, 6);
      put_number(moved, items - 1, 4);
      by_user_->add(moved);
      tell("numbering items", ++done, by_item_->records());
    }
    SR_CHECK(items <= std::numeric_limits<std::int32_t>::max(), ErrorKind::data,
             "{} different items; there may be 2147483647", items);
    by_item_.reset();
    item_keys_->flush();
    count_V_.assign(items, 0);
    by_user_->finish();
  }

  void group_users() {
    timed_ = report_.time_column.empty() ? UserEvents::Times::none : UserEvents::Times::kept;
    store_ = std::make_unique<UserEvents>(temp_, timed_);
    std::string user;
    std::string_view record;
    std::int64_t done = 0;
    while (by_user_->next(record)) {
      const std::string_view key = take_key(record);
      if (key != user) {
        close_user(user);
        user = key;
      }
      const std::int64_t time = take_time(record);
      take_number(record, 6);
      items_.push_back(static_cast<std::uint32_t>(take_number(record, 4)));
      if (timed_ == UserEvents::Times::kept) times_.push_back(time);
      limit_group(key_text(key));
      tell("grouping users", ++done, by_user_->records());
    }
    close_user(user);
    by_user_.reset();
    store_->flush();
  }

  // A sequence is written in one piece, so it must fit.
  void limit_group(std::string_view user) {
    const std::size_t most = memory_ / 48;  // 12 bytes an event, twice while the arrays grow, half
    const auto keep = static_cast<std::size_t>(options_.max_length);
    if (keep > 0 && items_.size() >= 2 * keep) cut_group(keep);
    SR_CHECK(items_.size() <= most, ErrorKind::data,
             "user {} has more than {} events, which do not fit; cut sequences with --max-length "
             "or give more --memory",
             user, most);
  }

  void cut_group(std::size_t keep) {
    if (items_.size() <= keep) return;
    const auto old = static_cast<std::ptrdiff_t>(items_.size() - keep);
    report_.events_too_old += old;
    items_.erase(items_.begin(), items_.begin() + old);
    if (!times_.empty()) times_.erase(times_.begin(), times_.begin() + old);
  }

  void close_user(std::string_view key) {
    if (items_.empty()) return;
    if (options_.max_length > 0) cut_group(static_cast<std::size_t>(options_.max_length));
    for (const std::uint32_t item : items_) {
      SR_CHECK(count_V_[item] < std::numeric_limits<std::uint32_t>::max() - 1, ErrorKind::data,
               "an item has more than {} events", count_V_[item]);
      ++count_V_[item];
    }
    store_->add(key, items_, times_);
    items_.clear();
    times_.clear();
  }

  void filter() {
    const std::int64_t users = store_->users();
    const CoreResult core =
        keep_core(temp_, store_, count_V_, options_.core_user, options_.core_item);
    report_.core_rounds = core.rounds;
    report_.events_rare_item = core.events_rare_item;
    report_.events_short_user = core.events_short_user;
    report_.users = store_->users();
    report_.events = store_->events();
    report_.users_dropped = users - report_.users;
    report_.items_dropped = std::count(count_V_.begin(), count_V_.end(), 0u);
    SR_CHECK(report_.events > 0, ErrorKind::data,
             "nothing is left of {} lines; lower --core-user or --core-item", report_.lines);
  }

  void write_sequences() {
    UserEventsReader user(*store_);
    std::vector<std::int32_t> ids;
    std::int64_t ties = 0, done = 0;
    while (user.next()) {
      ids.clear();
      for (const std::uint32_t item : user.items())
        ids.push_back(static_cast<std::int32_t>(count_V_[item]));
      const auto& times = user.times();
      for (std::size_t i = 1; i < times.size(); ++i) ties += times[i] == times[i - 1] ? 1 : 0;
      writer_.add_sequence(ids, times);
      tell("writing sequences", ++done, report_.users);
    }
    report_.tie_rate = static_cast<double>(ties) / static_cast<double>(report_.events);
    UserEventsReader again(*store_);
    while (again.next()) writer_.add_user_key(std::string(key_text(again.key())));
    store_.reset();
  }

  const PrepareOptions& options_;
  const std::function<void(const PrepareProgress&)>& progress_;
  const std::size_t memory_;
  TempFolder temp_;
  DatasetWriter writer_;
  PrepareReport report_;
  std::unique_ptr<ExternalSort> titles_, by_item_, by_user_;
  std::unique_ptr<TempFile> item_keys_;
  std::unique_ptr<UserEvents> store_;
  UserEvents::Times timed_ = UserEvents::Times::none;
  std::vector<std::uint32_t> count_V_;  // events of an item; its id after numbering
  std::vector<std::uint32_t> items_;    // of the user now read
  std::vector<std::int64_t> times_;
};

}  // namespace

PrepareReport prepare(const PrepareOptions& options,
                      const std::function<void(const PrepareProgress&)>& progress) {
  check_options(options);
  return Preparation(options, progress).run();
}

}  // namespace seqrank
