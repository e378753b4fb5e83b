// Each of the two streams the users once; interests are then found in memory.
#include "data/item_interests.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>

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

std::int64_t count_training(const UserEvents& store) {
  std::int64_t training = 0;
  UserEventsReader user(store);
  while (user.next()) training += split_of_key(user.key()) == Split::train;
  return training;
}

class TrainingEvents {
 public:
  TrainingEvents(const UserEvents& store, const std::vector<ValueColumn>& values,
                 const PrepareOptions& options)
      : split_(splits(options)), domain_(word_of_domain(values)), words_(values.size()) {
    if (split_) {
      const std::int64_t training = count_training(store);
      left_ = training - held_out_sequences(options, training);
    }
    UserEventsReader user(store);
    while (user.next()) add(user);
  }

  std::vector<std::int64_t> offset_S1 = {0};
  std::vector<std::int32_t> item_E;

 private:
  void add(UserEventsReader& user) {
    const auto& items = user.items();
    if (split_) {
      if (split_of_key(user.key()) != Split::train || left_-- <= 0) return;
      item_E.insert(item_E.end(), items.begin(), items.end());
    } else {
      // Of the whole and of each scene: how many events there are, and how many to come.
      std::unordered_map<std::uint32_t, std::size_t> of_scene, to_come;
      for (std::size_t i = 0; domain_ && i < items.size(); ++i) ++of_scene[scene(user, i)];
      to_come = of_scene;
      for (std::size_t i = 0; i < items.size(); ++i) {
        const bool last_of_scene =
            domain_ && to_come[scene(user, i)]-- <= 2 && of_scene[scene(user, i)] >= 3;
        const bool last = items.size() - i <= 2 && items.size() >= 3;
        if (!last && !last_of_scene) item_E.push_back(static_cast<std::int32_t>(items[i]));
      }
    }
    offset_S1.push_back(static_cast<std::int64_t>(item_E.size()));
  }

  std::uint32_t scene(UserEventsReader& user, std::size_t event) const {
    return user.words()[event * words_ + *domain_];
  }

  bool split_;
  std::optional<std::size_t> domain_;
  std::size_t words_;
  std::int64_t left_ = 0;  // training sequences to come
};

}  // namespace

std::vector<std::int32_t> interests_of_items(const UserEvents& store,
                                             const std::vector<ValueColumn>& values,
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
  return found_V;
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
