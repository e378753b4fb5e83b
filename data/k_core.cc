// Each round streams the users and writes those that stay. Counters fall at once, so a round also
// sees what it has already dropped.
#include "data/k_core.h"

namespace seqrank {
namespace {

// Drops the rare items of the reader's user; how many events went.
std::int64_t drop_rare(UserEventsReader& user, std::size_t words_each,
                       std::vector<std::uint32_t>& count_V, std::int64_t core_item) {
  auto& items = user.items();
  auto& times = user.times();
  auto& words = user.words();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (count_V[items[i]] < core_item) {
      --count_V[items[i]];
      continue;
    }
    items[kept] = items[i];
    if (!times.empty()) times[kept] = times[i];
    for (std::size_t w = 0; w < words_each; ++w)
      words[kept * words_each + w] = words[i * words_each + w];
    ++kept;
  }
  const auto dropped = static_cast<std::int64_t>(items.size() - kept);
  items.resize(kept);
  if (!times.empty()) times.resize(kept);
  words.resize(kept * words_each);
  return dropped;
}

}  // namespace

CoreResult keep_core(TempFolder& folder, std::unique_ptr<UserEvents>& store,
                     std::vector<std::uint32_t>& count_V, std::int64_t core_user,
                     std::int64_t core_item) {
  CoreResult result;
  if (core_user <= 1 && core_item <= 1) return result;
  for (bool changed = true; changed;) {
    auto kept = std::make_unique<UserEvents>(folder, store->times(), store->words());
    UserEventsReader user(*store);
    while (user.next()) {
      result.events_rare_item += drop_rare(user, store->words(), count_V, core_item);
      const auto length = static_cast<std::int64_t>(user.items().size());
      if (length > 0 && length >= core_user) {
        kept->add(user.key(), user.items(), user.times(), user.words());
        continue;
      }
      for (const std::uint32_t item : user.items()) --count_V[item];
      result.events_short_user += length;
    }
    kept->flush();
    changed = kept->events() < store->events();
    store = std::move(kept);
    ++result.rounds;
  }
  return result;
}

}  // namespace seqrank
