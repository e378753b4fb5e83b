// Interests that prepare writes: from training events alone, the same whichever scene is kept.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "data/loader.h"
#include "data/made_features.h"
#include "data/protocol.h"
#include "tests/data/prepared.h"

namespace seqrank {
namespace {

using test::Scratch;
using test::write_text;

struct Line {
  std::string user, item;
  int scene;
};

// People of two tastes in two scenes; the last two events of each scene are item `last`.
std::vector<Line> lines_of_two_tastes(const std::string& last) {
  std::mt19937 random(5);
  std::vector<Line> lines;
  for (int u = 0; u < 60; ++u) {
    for (int e = 0; e < 16; ++e) {
      const int scene = static_cast<int>(random() % 2);
      lines.push_back({fmt::format("u{}", u),
                       fmt::format("{}{}-{}", scene, u % 2 ? "tea" : "nut", random() % 6), scene});
    }
    for (const int scene : {0, 0, 1, 1})
      lines.push_back({fmt::format("u{}", u), fmt::format("{}{}", scene, last), scene});
  }
  return lines;
}

class ItemInterests : public testing::Test {
 protected:
  PrepareOptions given(const std::vector<Line>& lines) {
    std::string text = "user,item,scene\n";
    for (const Line& line : lines)
      text += fmt::format("{},{},s{}\n", line.user, line.item, line.scene);
    write_text(scratch_.file("in.csv"), text);
    PrepareOptions options = test::prepare_options(scratch_, scratch_.file("in.csv"));
    options.domain_column = "scene";
    options.interests = 2;
    return options;
  }
  // By key of the item.
  std::map<std::string, std::string> interests(const PrepareOptions& options) {
    report_ = prepare(options);
    const Dataset dataset = Dataset::open(options.output);
    std::vector<std::int32_t> id_V(static_cast<std::size_t>(dataset.items()));
    dataset.read_feature(FeatureOf::item, "interest", 0, id_V);
    std::map<std::string, std::string> found;
    for (std::int64_t v = 0; v < dataset.items(); ++v)
      found[dataset.item_key(v)] = dataset.feature_value(FeatureOf::item, "interest", id_V[v]);
    return found;
  }
  Scratch scratch_;
  PrepareReport report_;
};

TEST_F(ItemInterests, AreFoundInTrainingEvents) {
  const auto found = interests(given(lines_of_two_tastes("zz")));
  std::map<std::string, std::set<std::string>> by_taste;
  for (const auto& [item, interest] : found) by_taste[item.substr(1, 3)].insert(interest);
  EXPECT_EQ(by_taste.at("tea").size(), 1u);
  EXPECT_EQ(by_taste.at("nut").size(), 1u);
  EXPECT_NE(by_taste.at("tea"), by_taste.at("nut"));
  EXPECT_EQ(by_taste.at("zz"), std::set<std::string>{""});  // targets alone have it: unknown
}

TEST_F(ItemInterests, AreTheSameWhicheverSceneIsKept) {
  PrepareOptions options = given(lines_of_two_tastes("tea-0"));
  const auto whole = interests(options);
  std::size_t items = 0;
  for (const char* scene : {"s0", "s1"}) {
    options.keep_domain = scene;
    const auto of_scene = interests(options);
    items += of_scene.size();
    for (const auto& [item, interest] : of_scene) {
      EXPECT_EQ(item[0], scene[1]);
      EXPECT_EQ(interest, whole.at(item)) << item;
    }
    EXPECT_EQ(report_.events + report_.events_other_domain, 60 * 20);
  }
  EXPECT_EQ(items, whole.size());
}

TEST_F(ItemInterests, OfSplitFilesAreThoseOfTrainingSequences) {
  PrepareOptions options = given({{"train-1", "a", 0},
                                  {"train-1", "b", 0},
                                  {"train-2", "c", 0},
                                  {"train-2", "b", 0},
                                  {"train-3", "d", 0},
                                  {"test-1", "e", 0}});
  options.split_by_prefix = true;
  options.validation_share = 0.34;  // train-3
  const auto found = interests(options);
  EXPECT_EQ(found.at("d"), "");
  EXPECT_EQ(found.at("e"), "");
  EXPECT_NE(found.at("a"), "");
  EXPECT_NE(found.at("b"), "");
}

// Every event is of an item of its own: an item has an interest exactly where its event was read.
class InterestsFor : public ItemInterests, public testing::WithParamInterface<ProtocolKind> {
 protected:
  PrepareOptions of_own_items() {
    std::mt19937 random(9);
    std::string text = "user,item,time,scene\n";
    int item = 0;
    for (int u = 0; u < 40; ++u)
      for (int e = 0; e < u % 29 + 1; ++e)
        text += fmt::format("u{},{},{},s{}\n", u, item++, random() % 100000, random() % 2);
    write_text(scratch_.file("in.csv"), text);
    PrepareOptions options = test::prepare_options(scratch_, scratch_.file("in.csv"));
    options.domain_column = "scene";
    options.interests = 2;
    options.interests_for.emplace().kind = GetParam();
    return options;
  }
  // Items that have an interest, and those of training events: here of the file as it is.
  void compare(const PrepareOptions& options, const ProtocolOptions& protocol_options) {
    known_.clear(), training_.clear();
    for (const auto& [item, interest] : interests(options))
      if (!interest.empty()) known_.insert(item);
    const Dataset dataset = Dataset::open(options.output);
    const Protocol protocol(dataset, protocol_options);
    for (std::int64_t s = 0; s < dataset.sequences(); ++s) {
      std::vector<std::int32_t> items(protocol.training_events(s));
      dataset.read_items(dataset.begin(s), items);
      for (const std::int32_t v : items) training_.insert(dataset.item_key(v));
    }
    BatchNeeds needs;
    needs.columns = {"item.interest"};
    EXPECT_NO_THROW(check_made_features(protocol, needs));
  }
  std::set<std::string> known_, training_;
};

TEST_P(InterestsFor, ReadsNothingThatTheProtocolAsksForInTheWholeOrInAScene) {
  ProtocolOptions protocol;
  protocol.kind = GetParam();
  PrepareOptions options = of_own_items();
  for (const char* scene : {"", "s0", "s1"}) {
    options.keep_domain = scene;
    compare(options, protocol);
    EXPECT_TRUE(std::ranges::includes(training_, known_)) << scene;
    EXPECT_GT(2 * known_.size(), training_.size()) << scene;
  }
  options.keep_domain = options.domain_column = "";
  compare(options, protocol);
  EXPECT_EQ(known_, training_);
  options.interests_for->validation_from = protocol.validation_from = 50000;
  protocol.test_from = 60000;
  compare(options, protocol);
  EXPECT_EQ(known_, training_);
}

INSTANTIATE_TEST_SUITE_P(Each, InterestsFor,
                         testing::Values(ProtocolKind::p1, ProtocolKind::temporal,
                                         ProtocolKind::session, ProtocolKind::ctr),
                         [](const auto& info) { return protocol_name(info.param); });

TEST_F(ItemInterests, OfSplitFilesWithoutValidationLeaveOutWhatProtocolSessionTakesForIt) {
  std::vector<Line> lines;
  for (int s = 0; s < 40; ++s)
    for (int e = 0; e < 3; ++e)
      lines.push_back({fmt::format("train-{:02}", s), fmt::format("{}.{}", s, e), 0});
  lines.push_back({"test-1", "t", 0});
  PrepareOptions options = given(lines);
  options.split_by_prefix = true;
  const auto found = interests(options);
  EXPECT_NE(found.at("37.2"), "");
  EXPECT_EQ(found.at("38.0"), "");
  EXPECT_EQ(found.at("39.2"), "");
}

// Training, where it would read interests that know of what it tests.
TEST_F(ItemInterests, AreRefusedUnderAnotherProtocol) {
  std::string text = "user,item,time\n";
  for (int u = 0; u < 20; ++u)
    for (int e = 0; e < 10; ++e) text += fmt::format("u{},i{},{}\n", u, (u + e) % 7, 100 * e + u);
  write_text(scratch_.file("in.csv"), text);
  PrepareOptions options = test::prepare_options(scratch_, scratch_.file("in.csv"));
  options.interests = 2;
  Arena arena;
  LoaderOptions reads, blind;
  reads.needs.columns = {"target.interest"};
  const auto train = [&](const ProtocolOptions& protocol, const LoaderOptions& loader) {
    const Dataset dataset = Dataset::open(options.output);
    TrainLoader(Protocol(dataset, protocol), arena, loader);
  };
  prepare(options);
  train({ProtocolKind::p1}, reads);
  train({ProtocolKind::ctr}, blind);
  SR_EXPECT_ERROR(train({ProtocolKind::ctr}, reads), ErrorKind::usage, "--data.protocol=ctr");
  SR_EXPECT_ERROR(train({ProtocolKind::temporal}, reads), ErrorKind::usage, "made for p1");
  options.interests_for = {.kind = ProtocolKind::temporal, .validation_from = 500};
  prepare(options);
  train({ProtocolKind::temporal, 500, 800}, reads);
  train({ProtocolKind::temporal, 600, 800}, reads);
  SR_EXPECT_ERROR(train({ProtocolKind::temporal, 499, 800}, reads), ErrorKind::usage,
                  "--data.validation_from=499");
  SR_EXPECT_ERROR(train({ProtocolKind::p1}, reads), ErrorKind::usage, "temporal before time 500");
}

TEST_F(ItemInterests, WhatCannotBeIsRefused) {
  const PrepareOptions good = given(lines_of_two_tastes("zz"));
  const auto refused = [&](auto change, ErrorKind kind, const std::string& part) {
    PrepareOptions options = good;
    change(options);
    SR_EXPECT_ERROR(prepare(options), kind, part);
  };
  refused([](auto& o) { o.interests = 25; }, ErrorKind::usage, "--interests=25");
  refused([](auto& o) { o.interests = -1; }, ErrorKind::usage, "negative");
  refused([](auto& o) { o.interests_for.emplace().kind = ProtocolKind::temporal; },
          ErrorKind::usage, "no time column");
  refused([](auto& o) { o.interests_for.emplace(), o.interests = 0; }, ErrorKind::usage,
          "give --interests");
  refused(
      [](auto& o) {
        o.item_features = {"f.csv", "", {"interest"}, {}, ""};
      },
      ErrorKind::usage, "has one of that name");
  refused([](auto& o) { o.keep_domain = "s7"; }, ErrorKind::data, "no event is of that scene");
  refused([](auto& o) { o.keep_domain = "s0", o.domain_column = ""; }, ErrorKind::usage,
          "--domain");
  std::vector<Line> many;
  for (int i = 0; i < 4000; ++i) many.push_back({"u", fmt::format("{}", i), 0});
  PrepareOptions options = given(many);
  options.memory_bytes = std::size_t{1} << 20;
  SR_EXPECT_ERROR(prepare(options), ErrorKind::usage, "give more --memory");
}

}  // namespace
}  // namespace seqrank
