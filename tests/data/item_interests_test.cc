// Interests that prepare writes: from training events alone, the same whichever scene is kept.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

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

TEST_F(ItemInterests, WhatCannotBeIsRefused) {
  const PrepareOptions good = given(lines_of_two_tastes("zz"));
  const auto refused = [&](auto change, ErrorKind kind, const std::string& part) {
    PrepareOptions options = good;
    change(options);
    SR_EXPECT_ERROR(prepare(options), kind, part);
  };
  refused([](auto& o) { o.interests = 25; }, ErrorKind::usage, "--interests=25");
  refused([](auto& o) { o.interests = -1; }, ErrorKind::usage, "negative");
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
