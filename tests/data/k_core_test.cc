// The k-core against a definition by brute force.
#include "data/k_core.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "data/record.h"
#include "tests/data/data_test_support.h"

namespace seqrank {
namespace {

using Users = std::map<std::string, std::vector<std::uint32_t>>;

Users core_by_definition(Users users, std::size_t core_user, std::size_t core_item) {
  for (;;) {
    std::map<std::uint32_t, std::size_t> count;
    std::size_t before = 0, after = 0;
    for (const auto& [key, items] : users) {
      before += items.size();
      for (const std::uint32_t item : items) ++count[item];
    }
    Users next;
    for (const auto& [key, items] : users) {
      std::vector<std::uint32_t> kept;
      for (const std::uint32_t item : items)
        if (count[item] >= core_item) kept.push_back(item);
      if (!kept.empty() && kept.size() >= core_user) next[key] = kept;
      if (next.contains(key)) after += kept.size();
    }
    if (after == before) return next;
    users = std::move(next);
  }
}

TEST(KCore, EqualsTheDefinition) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 20; ++trial) {
    test::Scratch scratch;
    TempFolder folder(scratch.path());
    Users users;
    std::vector<std::uint32_t> count_V(60, 0);
    auto store = std::make_unique<UserEvents>(folder, UserEvents::Times::kept);
    for (int u = 0; u < 50; ++u) {
      std::string key;
      put_key(key, std::to_string(u));
      std::vector<std::uint32_t> items;
      for (auto n = 1 + random() % 8; n > 0; --n)
        items.push_back(static_cast<std::uint32_t>(random() % 60 * (random() % 60) / 60));
      for (const std::uint32_t item : items) ++count_V[item];
      // A time equal to the item shows that both are cut alike.
      store->add(key, items, std::vector<std::int64_t>(items.begin(), items.end()));
      users[key] = items;
    }
    store->flush();
    const std::int64_t events = store->events();
    const CoreResult result = keep_core(folder, store, count_V, 4, 5);
    const Users wanted = core_by_definition(users, 4, 5);
    Users found;
    std::vector<std::uint32_t> recount_V(60, 0);
    UserEventsReader reader(*store);
    while (reader.next()) {
      found[std::string(reader.key())] = reader.items();
      EXPECT_EQ(reader.times(),
                std::vector<std::int64_t>(reader.items().begin(), reader.items().end()));
      for (const std::uint32_t item : reader.items()) ++recount_V[item];
    }
    EXPECT_EQ(found, wanted);
    EXPECT_EQ(count_V, recount_V);
    EXPECT_EQ(events - store->events(), result.events_rare_item + result.events_short_user);
    EXPECT_GE(result.rounds, 1);
  }
}

}  // namespace
}  // namespace seqrank
