// Each of the two streams the users, interests once more for what a protocol has to know of all;
// they are then found in memory.
#include "data/item_interests.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "backend/check.h"
#include "data/interests.h"
#include "data/prepare_options.h"
#include "data/prepared_writer.h"

namespace seqrank {
namespace {

// Among the words of an event; nothing where scenes are not kept.
std::optional<std::size_t> word_of_domain(const std::vector<ValueColumn>& values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i].form().place == "/event/domain") return i;
  return std::nullopt;
}

// What a file may hold: all events, or those of one scene. Protocols cut each of them by itself.
struct Group {
  std::int64_t training = 0,
               validation = 0;       // of session: sequences that the input says are for it
  std::int64_t met = 0;              // of those for training, so far
  std::vector<std::int64_t> time_E;  // of temporal
  std::int64_t events = 0, at = 0;   // of the sequence that is read: all, and those met so far
};

class TrainingEvents {
 public:
  TrainingEvents(const UserEvents& store, const std::vector<ValueColumn>& values,
                 const PrepareOptions& options)
      : options_(options),
        wanted_(options.interests_for.value_or(
            ProtocolOptions{splits(options) ? ProtocolKind::session : ProtocolKind::p1})),
        domain_(word_of_domain(values)),
        words_(values.size()) {
    SR_CHECK(wanted_.kind != ProtocolKind::temporal || store.times() == UserEvents::Times::kept,
             ErrorKind::usage,
             "--data.protocol=temporal cuts in time, but there is no time column; choose it with "
             "--time");
    if (wanted_.kind == ProtocolKind::session) count_sequences(store);
    if (wanted_.kind == ProtocolKind::temporal) cut_in_time(store);
    UserEventsReader user(store);
    while (user.next()) add(user);
  }

  ProtocolKind protocol() const { return wanted_.kind; }
  std::int64_t before() const { return before_; }
  std::vector<std::int64_t> offset_S1 = {0};
  std::vector<std::int32_t> item_E;

 private:
  Group& scene(UserEventsReader& user, std::size_t event) {
    return scenes_[user.words()[event * words_ + *domain_]];
  }
  template <class Use>
  void for_groups_of_event(UserEventsReader& user, std::size_t event, Use use) {
    use(whole_);
    if (domain_) use(scene(user, event));
  }
  template <class Use>
  void for_groups_of_sequence(UserEventsReader& user, Use use) {
    std::set<Group*> groups = {&whole_};
    for (std::size_t e = 0; domain_ && e < user.items().size(); ++e) groups.insert(&scene(user, e));
    for (Group* group : groups) use(*group);
  }

  void count_sequences(const UserEvents& store) {
    UserEventsReader user(store);
    while (user.next()) {
      const Split split = split_of_key(user.key());
      for_groups_of_sequence(user, [split](Group& group) {
        group.training += split == Split::train;
        group.validation += split == Split::validation;
      });
    }
  }

  // As Protocol and write_prepared() take sequences from the last of those for training.
  std::int64_t held_back(const Group& group) const {
    if (!splits(options_)) return 2 * (group.training / 10);
    const std::int64_t held_out = held_out_sequences(options_, group.training);
    return group.validation + held_out > 0 ? held_out : group.training / 20;
  }

  // The earliest of all groups' cuts.
  void cut_in_time(const UserEvents& store) {
    before_ = wanted_.validation_from.value_or(std::numeric_limits<std::int64_t>::max());
    if (wanted_.validation_from) return;
    UserEventsReader user(store);
    while (user.next())
      for (std::size_t e = 0; e < user.items().size(); ++e)
        for_groups_of_event(user, e,
                            [&](Group& group) { group.time_E.push_back(user.times()[e]); });
    cut(whole_);
    for (auto& [name, group] : scenes_) cut(group);
  }

  void cut(Group& group) {
    const std::vector<std::int64_t> none;
    std::vector<std::int64_t> time_E = std::exchange(group.time_E, none);
    if (time_E.empty()) return;
    const double share = 1 - wanted_.test_share - wanted_.validation_share;
    const auto rank = static_cast<std::int64_t>(share * static_cast<double>(time_E.size()));
    const auto at = time_E.begin() + std::clamp<std::int64_t>(rank, 0, std::ssize(time_E) - 1);
    std::ranges::nth_element(time_E, at);
    before_ = std::min(before_, *at);
  }

  void add(UserEventsReader& user) {
    if (wanted_.kind == ProtocolKind::session && split_of_key(user.key()) != Split::train) return;
    for_groups_of_sequence(user, [](Group& group) { group.events = group.at = 0; });
    for (std::size_t e = 0; e < user.items().size(); ++e)
      for_groups_of_event(user, e, [](Group& group) { ++group.events; });
    for (std::size_t e = 0; e < user.items().size(); ++e) {
      bool training = true;
      for_groups_of_event(user, e, [&](Group& group) {
        training &= for_training(group, user, e);
        ++group.at;
      });
      if (training) item_E.push_back(static_cast<std::int32_t>(user.items()[e]));
    }
    for_groups_of_sequence(user, [](Group& group) { ++group.met; });
    offset_S1.push_back(static_cast<std::int64_t>(item_E.size()));
  }

  bool for_training(const Group& group, UserEventsReader& user, std::size_t event) const {
    switch (wanted_.kind) {
      case ProtocolKind::p1:
        return group.events < 3 || group.at < group.events - 2;
      case ProtocolKind::temporal:
        return user.times()[event] < before_;
      case ProtocolKind::session:
        return group.met < group.training - held_back(group);
      case ProtocolKind::ctr:
        return group.at < group.events - 2 * (group.events / 10);
    }
    SR_ASSERT(false, "protocol {}", static_cast<int>(wanted_.kind));
  }

  const PrepareOptions& options_;
  const ProtocolOptions wanted_;
  const std::optional<std::size_t> domain_;
  const std::size_t words_;
  Group whole_;
  std::unordered_map<std::uint32_t, Group> scenes_;
  std::int64_t before_ = 0;  // of temporal
};

}  // namespace

ItemInterests interests_of_items(const UserEvents& store, const std::vector<ValueColumn>& values,
                                 const PrepareOptions& options, std::size_t items,
                                 std::size_t memory) {
  const std::size_t needed = interest_bytes(store.users(), store.events(), items);
  SR_CHECK(needed <= memory, ErrorKind::usage,
           "--interests are found in memory, which takes {} MiB here; give more --memory",
           (needed >> 20) + 1);
  TrainingEvents training(store, values, options);
  // Items that training has are numbered anew, so that the others are no group of their own.
  std::vector<std::int32_t> found_V(items, -1);
  std::int32_t trained = 0;
  for (const std::int32_t item : training.item_E) found_V[item] = 0;
  for (std::int32_t& number : found_V)
    if (number == 0) number = trained++;
  for (std::int32_t& item : training.item_E) item = found_V[item];
  InterestOptions wanted;
  wanted.interests = options.interests;
  const auto interest_T = find_interests(training.offset_S1, training.item_E, trained, wanted);
  for (std::int32_t& number : found_V) number = number < 0 ? 0 : interest_T[number] + 1;
  return {std::move(found_V), training.protocol(), training.before()};
}

std::int64_t keep_domain(TempFolder& folder, std::unique_ptr<UserEvents>& store,
                         const std::vector<ValueColumn>& values, const std::string& name,
                         std::vector<std::uint32_t>& count_V) {
  const std::size_t domain = word_of_domain(values).value();
  const std::optional<std::uint32_t> wanted = values[domain].word(name);
  SR_CHECK(wanted, ErrorKind::data, "--keep-domain={}: no event is of that scene", name);
  auto kept = std::make_unique<UserEvents>(folder, store->times(), store->words());
  std::vector<std::uint32_t> items, words;
  std::vector<std::int64_t> times;
  UserEventsReader user(*store);
  while (user.next()) {
    items.clear();
    times.clear();
    words.clear();
    for (std::size_t i = 0; i < user.items().size(); ++i) {
      const auto own = user.words().begin() + static_cast<std::ptrdiff_t>(i * values.size());
      if (own[static_cast<std::ptrdiff_t>(domain)] != *wanted) {
        --count_V[user.items()[i]];
        continue;
      }
      items.push_back(user.items()[i]);
      if (!user.times().empty()) times.push_back(user.times()[i]);
      words.insert(words.end(), own, own + std::ssize(values));
    }
    if (!items.empty()) kept->add(user.key(), items, times, words);
  }
  kept->flush();
  const std::int64_t dropped = store->events() - kept->events();
  store = std::move(kept);
  return dropped;
}

}  // namespace seqrank
