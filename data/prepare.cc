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
#include "data/item_interests.h"
#include "data/item_text.h"
#include "data/k_core.h"
#include "data/prepare_options.h"
#include "data/prepared_writer.h"
#include "data/record.h"

namespace seqrank {
namespace {

constexpr std::int64_t kProgressEvery = 65536;

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
        tag_bytes_(splits(options) ? kTagBytes : 0),
        temp_(temp_folder_of(options)),
        writer_(options.output) {}

  PrepareReport run() {
    const auto start = std::chrono::steady_clock::now();
    all_.values = event_values(options_, memory_ / 32);
    read_side_files();
    sort_by_item();
    sort_by_user();
    group_users();
    filter();
    write_prepared(all_, options_, temp_, memory_, writer_, report_, progress_);
    writer_.set_attribute("tie_rate", report_.tie_rate);
    writer_.set_attribute("tie_rule", std::string("order of lines"));
    if (!options_.history_column.empty() || options_.last_targets_only)
      writer_.set_attribute("last_targets_only", 1.0);
    writer_.finish(report_.items);
    report_.temp_bytes = temp_.peak_bytes();
    report_.counter_bytes =
        static_cast<std::int64_t>(all_.count_V.capacity() * sizeof(std::uint32_t));
    report_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    report_.lines_per_second = static_cast<double>(report_.lines) / report_.seconds;
    return report_;
  }

 private:
  void tell(const char* stage, std::int64_t done, std::int64_t total) const {
    if (progress_ && done % kProgressEvery == 0) progress_({stage, done, total});
  }

  void read_side_files() {
    all_.titles = read_titles(options_, temp_, {memory_ / 4, memory_ / 16}, report_);
    const auto read = [&](const FeatureFile& file, FeatureOf of) {
      return file.path.empty() ? nullptr
                               : std::make_unique<SideFeatures>(
                                     options_, file, of, temp_,
                                     SortMemory{memory_ / 4, memory_ / 32}, memory_ / 32, report_);
    };
    all_.user_features = read(options_.user_features, FeatureOf::user);
    all_.item_features = read(options_.item_features, FeatureOf::item);
  }

  // Records (item, order in the file, time, user, tag, words).
  void sort_by_item() {
    by_item_ = std::make_unique<ExternalSort>(temp_, SortMemory{memory_ / 4 * 3, memory_ / 4});
    std::string record;
    std::uint64_t ordinal = 0;
    read_events(options_, all_.values, report_, progress_, [&](const TextEvent& event) {
      record.clear();
      put_key(record, event.item);
      put_number(record, ordinal++, 6);
      put_time(record, event.time);
      put_key(record, event.user);
      if (tag_bytes_ > 0) {
        put_number(record, static_cast<std::uint64_t>(event.split), 1);
        put_number(record, event.row, 6);
      }
      for (const std::uint32_t word : event.words) put_number(record, word, 4);
      by_item_->add(record);
    });
    by_item_->finish();
  }

  // Records (user, tag, time, order in the file, item as a number in the order of keys, words).
  void sort_by_user() {
    all_.item_keys = std::make_unique<TempFile>(temp_);
    by_user_ = std::make_unique<ExternalSort>(temp_, SortMemory{memory_ / 2, memory_ / 4});
    std::string item, moved;
    std::string_view record;
    std::uint64_t items = 0;
    std::int64_t done = 0;
    while (by_item_->next(record)) {
      const std::string_view key = take_key(record);
      if (key != item) {
        item = key;
        all_.item_keys->append_record(item);
        ++items;
      }
      std::string_view rest = record.substr(14);
      const std::size_t user_bytes = take_key(rest).size() + tag_bytes_;
      moved = record.substr(14, user_bytes);
      moved += record.substr(6, 8);
      moved += record.substr(0, 6);
      put_number(moved, items - 1, 4);
      moved += record.substr(14 + user_bytes);
      by_user_->add(moved);
      tell("numbering items", ++done, by_item_->records());
    }
    SR_CHECK(items <= std::numeric_limits<std::int32_t>::max(), ErrorKind::data,
             "{} different items; there may be 2147483647", items);
    by_item_.reset();
    all_.item_keys->flush();
    all_.count_V.assign(items, 0);
    by_user_->finish();
  }

  void group_users() {
    timed_ = report_.time_column.empty() ? UserEvents::Times::none : UserEvents::Times::kept;
    SR_CHECK(options_.session_gap == 0 || timed_ == UserEvents::Times::kept, ErrorKind::usage,
             "--session-gap cuts at pauses, but there is no time column; choose it with --time");
    all_.store = std::make_unique<UserEvents>(temp_, timed_, all_.values.size());
    std::string user;
    std::string_view record;
    std::int64_t done = 0;
    while (by_user_->next(record)) {
      const std::string_view whole = record;
      const std::size_t user_bytes = take_key(record).size();
      const std::string_view key = whole.substr(0, user_bytes + tag_bytes_);
      record.remove_prefix(tag_bytes_);
      const std::int64_t time = take_time(record);
      const bool pause = options_.session_gap > 0 && !times_.empty() &&
                         time - times_.back() > options_.session_gap;
      if (key != user || pause) {
        close_user(user);
        user = key;
      }
      take_number(record, 6);
      items_.push_back(static_cast<std::uint32_t>(take_number(record, 4)));
      if (timed_ == UserEvents::Times::kept) times_.push_back(time);
      for (std::size_t i = 0; i < all_.values.size(); ++i)
        words_.push_back(static_cast<std::uint32_t>(take_number(record, 4)));
      limit_group(key_text(key.substr(0, user_bytes)));
      tell("grouping users", ++done, by_user_->records());
    }
    close_user(user);
    by_user_.reset();
    all_.store->flush();
  }

  // A sequence is written in one piece, so it must fit.
  void limit_group(std::string_view user) {
    // 12 bytes an event and its words, twice while the arrays grow, half of the memory.
    const std::size_t most = memory_ / (48 + 16 * all_.values.size());
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
    words_.erase(words_.begin(), words_.begin() + old * std::ssize(all_.values));
  }

  void close_user(std::string_view key) {
    if (items_.empty()) return;
    if (options_.max_length > 0) cut_group(static_cast<std::size_t>(options_.max_length));
    for (const std::uint32_t item : items_) {
      SR_CHECK(all_.count_V[item] < std::numeric_limits<std::uint32_t>::max() - 1, ErrorKind::data,
               "an item has more than {} events", all_.count_V[item]);
      ++all_.count_V[item];
    }
    all_.store->add(key, items_, times_, words_);
    items_.clear();
    times_.clear();
    words_.clear();
  }

  void filter() {
    const std::int64_t users = all_.store->users();
    const CoreResult core =
        keep_core(temp_, all_.store, all_.count_V, options_.core_user, options_.core_item);
    report_.core_rounds = core.rounds;
    report_.events_rare_item = core.events_rare_item;
    report_.events_short_user = core.events_short_user;
    if (options_.interests > 0) {
      if (progress_) progress_({"finding interests", 0, 0});
      all_.interests =
          interests_of_items(*all_.store, all_.values, options_, all_.count_V.size(), memory_);
    }
    if (!options_.keep_domain.empty())
      report_.events_other_domain =
          keep_domain(temp_, all_.store, all_.values, options_.keep_domain, all_.count_V);
    report_.users = all_.store->users();
    report_.events = all_.store->events();
    report_.users_dropped = users - report_.users;
    report_.items_dropped = std::count(all_.count_V.begin(), all_.count_V.end(), 0u);
    SR_CHECK(report_.events > 0, ErrorKind::data,
             "nothing is left of {} lines; lower --core-user or --core-item", report_.lines);
  }

  const PrepareOptions& options_;
  const std::function<void(const PrepareProgress&)>& progress_;
  const std::size_t memory_;
  const std::size_t tag_bytes_;
  TempFolder temp_;
  DatasetWriter writer_;
  PrepareReport report_;
  PreparedEvents all_;
  std::unique_ptr<ExternalSort> by_item_, by_user_;
  UserEvents::Times timed_ = UserEvents::Times::none;
  std::vector<std::uint32_t> items_;  // of the user now read
  std::vector<std::int64_t> times_;
  std::vector<std::uint32_t> words_;
};

}  // namespace

PrepareReport prepare(const PrepareOptions& options,
                      const std::function<void(const PrepareProgress&)>& progress) {
  check_options(options);
  return Preparation(options, progress).run();
}

}  // namespace seqrank
