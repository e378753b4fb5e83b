// Each pass reads the store once, front to back.
#include "data/prepared_writer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string>

#include "data/item_text.h"
#include "data/made_features.h"
#include "data/prepare_options.h"
#include "data/record.h"

namespace seqrank {
namespace {

constexpr std::int64_t kProgressEvery = 65536;

class PreparedWriter {
 public:
  PreparedWriter(PreparedEvents& events, const PrepareOptions& options, TempFolder& folder,
                 std::size_t memory, DatasetWriter& writer, PrepareReport& report,
                 const std::function<void(const PrepareProgress&)>& progress)
      : all_(events),
        options_(options),
        folder_(folder),
        memory_(memory),
        writer_(writer),
        report_(report),
        progress_(progress),
        split_(splits(options)) {}

  void run() {
    count_values();
    report_.items = number_by_frequency(all_.count_V);
    write_sequences();
    write_users();
    write_splits();
    all_.store.reset();
    write_items();
  }

 private:
  // Values of what stays, and the sequences of each split.
  void count_values() {
    if (all_.values.empty() && !split_) return;
    UserEventsReader user(*all_.store);
    while (user.next()) {
      const auto& words = user.words();
      for (std::size_t i = 0; i < words.size(); ++i)
        all_.values[i % all_.values.size()].count(words[i]);
      ++sequences_of_split_[static_cast<std::size_t>(split_of_key(user.key()))];
    }
    for (ValueColumn& value : all_.values) value.number();
  }

  void write_sequences() {
    UserEventsReader user(*all_.store);
    std::vector<std::int32_t> ids;
    std::vector<std::uint32_t> column;
    std::int64_t ties = 0, done = 0;
    while (user.next()) {
      ids.clear();
      for (const std::uint32_t item : user.items())
        ids.push_back(static_cast<std::int32_t>(all_.count_V[item]));
      const auto& times = user.times();
      for (std::size_t i = 1; i < times.size(); ++i) ties += times[i] == times[i - 1] ? 1 : 0;
      writer_.add_sequence(ids, times);
      for (std::size_t v = 0; v < all_.values.size(); ++v) {
        column.clear();
        for (std::size_t i = 0; i < ids.size(); ++i)
          column.push_back(user.words()[i * all_.values.size() + v]);
        all_.values[v].write(writer_, column);
      }
      if (progress_ && ++done % kProgressEvery == 0)
        progress_({"writing sequences", done, report_.users});
    }
    for (const ValueColumn& value : all_.values) value.write_values(writer_);
    report_.tie_rate = static_cast<double>(ties) / static_cast<double>(report_.events);
  }

  void write_users() {
    UserEventsReader user(*all_.store);
    for (std::uint32_t place = 0; user.next(); ++place) {
      std::string_view rest = user.key();
      const std::string_view key = take_key(rest);
      writer_.add_user_key(std::string(key_text(key)));
      if (all_.user_features) all_.user_features->add(key, place);
    }
    if (!all_.user_features) return;
    all_.user_features->write(writer_);
    report_.users_without_features = all_.user_features->without();
    all_.user_features.reset();
  }

  // Splits, with the last training sequences for validation where that is asked for.
  void write_splits() {
    if (!split_) return;
    auto& [training, validation, test] = sequences_of_split_;
    const std::int64_t held_out = held_out_sequences(options_, training);
    const std::int64_t kept = training - held_out;
    std::vector<bool> trained_V(static_cast<std::size_t>(report_.items));
    UserEventsReader user(*all_.store);
    std::int64_t seen = 0;
    while (user.next()) {
      Split split = split_of_key(user.key());
      if (split == Split::train && seen++ >= kept) split = Split::validation;
      const auto number = static_cast<std::uint8_t>(split);
      writer_.append("/sequence/split", std::span<const std::uint8_t>(&number, 1));
      if (split == Split::train)
        for (const std::uint32_t item : user.items()) trained_V[all_.count_V[item]] = true;
    }
    report_.training = kept;
    report_.validation = validation + held_out;
    report_.test = test;
    report_.items_untrained = std::count(trained_V.begin(), trained_V.end(), false);
  }

  void write_items() {
    if (all_.item_features) {
      add_items(*all_.item_keys, all_.count_V, *all_.item_features);
      all_.item_features->write(writer_);
      report_.items_without_features = all_.item_features->without();
      all_.item_features.reset();
    }
    if (!all_.interests.interest_V.empty()) write_interests();
    write_item_text(*all_.item_keys, all_.count_V, all_.titles.get(), folder_, memory_, writer_,
                    report_);
  }

  void write_interests() {
    std::vector<std::int32_t> by_id(static_cast<std::size_t>(report_.items));
    const std::vector<std::int32_t>& interest_V = all_.interests.interest_V;
    for (std::size_t v = 0; v < interest_V.size(); ++v)
      if (all_.count_V[v] != kNoItem) by_id[all_.count_V[v]] = interest_V[v];
    writer_.set_attribute(made_for_attribute("interest"),
                          std::string(protocol_name(all_.interests.protocol)));
    if (all_.interests.protocol == ProtocolKind::temporal)
      writer_.set_attribute(made_before_attribute("interest"),
                            static_cast<double>(all_.interests.before));
    writer_.append("/item/feature/interest", by_id);
    writer_.append_text("/item/feature_values/interest", "");
    for (std::int64_t i = 1; i <= options_.interests; ++i)
      writer_.append_text("/item/feature_values/interest", std::to_string(i));
  }

  PreparedEvents& all_;
  const PrepareOptions& options_;
  TempFolder& folder_;
  const std::size_t memory_;
  DatasetWriter& writer_;
  PrepareReport& report_;
  const std::function<void(const PrepareProgress&)>& progress_;
  const bool split_;
  std::array<std::int64_t, 3> sequences_of_split_{};
};

}  // namespace

Split split_of_key(std::string_view key) {
  take_key(key);
  return key.empty() ? Split::train : static_cast<Split>(take_number(key, 1));
}

std::int64_t held_out_sequences(const PrepareOptions& options, std::int64_t training) {
  return std::llround(options.validation_share * static_cast<double>(training));
}

void write_prepared(PreparedEvents& events, const PrepareOptions& options, TempFolder& folder,
                    std::size_t memory, DatasetWriter& writer, PrepareReport& report,
                    const std::function<void(const PrepareProgress&)>& progress) {
  PreparedWriter(events, options, folder, memory, writer, report, progress).run();
}

}  // namespace seqrank
