// What prepare makes of columns besides user, item and time: labels, actions, features; sessions
// and splits; rows of histories. The same whatever the order of lines and the memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "tests/data/prepared.h"

namespace seqrank {
namespace {

using test::Scratch;
using test::write_text;
using testing::ElementsAre;
using testing::FloatNear;
using Keys = std::vector<std::string>;

std::vector<int> labels_of(const Dataset& dataset) {
  std::vector<std::uint8_t> labels(static_cast<std::size_t>(dataset.events()));
  dataset.read_labels(0, labels);
  return {labels.begin(), labels.end()};
}

std::int64_t rows_of(const Dataset& dataset, FeatureOf of) {
  return of == FeatureOf::event  ? dataset.events()
         : of == FeatureOf::user ? dataset.sequences()
                                 : dataset.items();
}

// The texts of a categorical feature of all rows.
Keys texts_of(const Dataset& dataset, FeatureOf of, const std::string& name) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(rows_of(dataset, of)));
  dataset.read_feature(of, name, 0, ids);
  Keys texts;
  for (const std::int32_t id : ids) texts.push_back(dataset.feature_value(of, name, id));
  return texts;
}

std::vector<float> numbers_of(const Dataset& dataset, FeatureOf of, const std::string& name) {
  std::vector<float> numbers(static_cast<std::size_t>(rows_of(dataset, of)));
  dataset.read_feature(of, name, 0, numbers);
  return numbers;
}

class PrepareValues : public testing::Test {
 protected:
  PrepareOptions given(const std::string& text) {
    write_text(scratch_.file("in.csv"), text);
    return test::prepare_options(scratch_, scratch_.file("in.csv"));
  }
  Dataset prepared(const PrepareOptions& options) {
    report_ = prepare(options);
    return Dataset::open(options.output);
  }
  Scratch scratch_;
  PrepareReport report_;
};

TEST_F(PrepareValues, OfEvents) {
  PrepareOptions options = given(
      "user,item,time,rating,what,place,price\n"
      "v,a,1,5,view,x|y,10\nu,b,3,3.5,buy,x,30\nu,a,2,4,view,,\nu,c,9,1,buy,z,20\n");
  options.label_column = "rating";
  options.positive = 4;
  options.action_column = "what";
  options.event_features = {"place", "price:number"};
  const Dataset dataset = prepared(options);
  EXPECT_THAT(labels_of(dataset), ElementsAre(1, 0, 0, 1));  // u: a b c, v: a
  EXPECT_THAT(texts_of(dataset, FeatureOf::event, "action"),
              ElementsAre("view", "buy", "buy", "view"));
  EXPECT_EQ(dataset.feature_value(FeatureOf::event, "action", 0), "buy");  // by key
  EXPECT_THAT(texts_of(dataset, FeatureOf::event, "place"), ElementsAre("", "x", "z", "x"));
  EXPECT_EQ(dataset.feature_value(FeatureOf::event, "place", 1), "x");  // the most frequent
  // Mean 20, standard deviation sqrt(200 / 3).
  const float z = 10 / std::sqrt(200.0f / 3);
  EXPECT_THAT(numbers_of(dataset, FeatureOf::event, "price"),
              ElementsAre(0, FloatNear(z, 1e-5f), 0, FloatNear(-z, 1e-5f)));
  EXPECT_EQ(dataset.attributes().at("event.price.mean"), 20);
  options.min_count = 2;
  EXPECT_THAT(texts_of(prepared(options), FeatureOf::event, "place"),
              ElementsAre("", "x", "", "x"));
}

TEST_F(PrepareValues, OfUsersAndItems) {
  write_text(scratch_.file("users.csv"), "id,sex,age\nw,f,99\nv,m,30\nu,f,20\nu,m,77\n");
  write_text(scratch_.file("items.dat"), "c::Crime|Drama::1990\na::Drama::2000\n");
  PrepareOptions options = given("user,item,time\nu,a,1\nu,b,2\nv,a,1\nx,c,5\n");
  options.user_features = {scratch_.file("users.csv"), "", {"sex", "age:number"}, {}, ""};
  options.item_features = {
      scratch_.file("items.dat"), "", {"genre", "year:number"}, {"item", "genre", "year"}, ""};
  const Dataset dataset = prepared(options);
  EXPECT_THAT(texts_of(dataset, FeatureOf::user, "sex"), ElementsAre("f", "m", ""));
  EXPECT_THAT(numbers_of(dataset, FeatureOf::user, "age"), ElementsAre(-1, 1, 0));
  EXPECT_EQ(dataset.item_key(0), "a");
  EXPECT_THAT(texts_of(dataset, FeatureOf::item, "genre"), ElementsAre("Drama", "", "Crime"));
  EXPECT_THAT(numbers_of(dataset, FeatureOf::item, "year"), ElementsAre(1, 0, -1));
  EXPECT_EQ(report_.users_without_features, 1);
  EXPECT_EQ(report_.items_without_features, 1);
}

TEST_F(PrepareValues, KeepInStepWithFilters) {
  PrepareOptions options = given(
      "user,item,time,price\nu,a,1,1\nu,b,2,2\nu,a,3,3\nu,r,4,4\nu,b,5,5\nv,r,1,6\nw,a,1,7\n"
      "w,b,2,8\nw,a,3,9\n");
  options.event_features = {"price"};
  options.max_length = 4;  // u loses its first event
  options.core_item = 3;   // r goes, and v with it
  options.core_user = 3;
  const Dataset dataset = prepared(options);
  EXPECT_THAT(texts_of(dataset, FeatureOf::event, "price"),
              ElementsAre("2", "3", "5", "7", "8", "9"));
}

TEST_F(PrepareValues, DoNotDependOnOrderOrMemory) {
  std::mt19937 random(3);
  std::vector<std::string> lines;
  for (int i = 0; i < 8000; ++i)
    lines.push_back(fmt::format("user-{:030d},item-{:030d},{},{},value {},{}\n", random() % 499,
                                random() % 300, i, random() % 2, random() % 97, random() % 1000));
  const auto made = [&](std::size_t memory) {
    std::string text = "user,item,time,label,kind,price\n";
    for (const std::string& line : lines) text += line;
    PrepareOptions options = given(text);
    options.label_column = "label";
    options.event_features = {"kind", "price:number"};
    options.memory_bytes = memory;
    return prepared(options).fingerprint();
  };
  const std::string wanted = made(std::size_t{1} << 30);
  std::shuffle(lines.begin(), lines.end(), random);
  EXPECT_EQ(made(std::size_t{1} << 20), wanted);
}

TEST_F(PrepareValues, SessionsEndBeforeAPause) {
  PrepareOptions options = given("user,item,time\nu,a,0\nu,b,10\nu,c,21\nv,a,0\nu,d,31\nu,e,100\n");
  options.session_gap = 10;
  prepare(options);
  const test::Prepared got = test::read_prepared(options.output);
  EXPECT_EQ(got.users, (Keys{"u", "u", "u", "v"}));
  EXPECT_EQ(got.items, (std::vector<Keys>{{"a", "b"}, {"c", "d"}, {"e"}, {"a"}}));
}

TEST_F(PrepareValues, SplitByPrefixOrColumn) {
  PrepareOptions options =
      given("user,item,file\ntest-1,a,x\ntraining-1,b,y\nevaluation,c,y\ntraining-2,a,y\n");
  options.split_by_prefix = true;
  const Dataset dataset = prepared(options);
  ASSERT_EQ(dataset.sequences(), 4);
  EXPECT_EQ(dataset.user_key(0), "test-1");
  EXPECT_EQ(dataset.split(0), Split::test);
  EXPECT_EQ(dataset.split(1), Split::validation);
  EXPECT_EQ(dataset.split(2), Split::train);
  EXPECT_FALSE(dataset.last_targets_only());
  options.last_targets_only = true;
  EXPECT_TRUE(prepared(options).last_targets_only());
  options.last_targets_only = false;
  EXPECT_EQ(report_.training, 2);
  EXPECT_EQ(report_.items_untrained, 1);
  options.split_by_prefix = false;
  options.split_column = "file";
  options.training_names = {"y"};
  options.test_names = {"x"};
  EXPECT_EQ(prepared(options).split(1), Split::train);
  options.test_names = {"z"};
  SR_EXPECT_ERROR(prepare(options), ErrorKind::data, "'x' is of no split");
}

// As Diginetica is published: sessions, and rows of a target and what came before it.
TEST_F(PrepareValues, TestRowsOfAnotherFile) {
  write_text(scratch_.file("test.csv"), "target,prefix\nb,c a\nd,a\n");
  PrepareOptions options = given("seq,item\n1,a\n1,b\n2,c\n2,a\n10,b\n");
  options.test_input = scratch_.file("test.csv");
  options.history_column = "prefix";
  options.validation_share = 0.34;
  const Dataset dataset = prepared(options);
  const test::Prepared got = test::read_prepared(options.output);
  EXPECT_EQ(got.users, (Keys{"1", "2", "10", "row-1", "row-2"}));
  EXPECT_EQ(got.items[3], (Keys{"c", "a", "b"}));
  EXPECT_EQ(got.items[4], (Keys{"a", "d"}));
  EXPECT_TRUE(dataset.last_targets_only());
  EXPECT_EQ(dataset.split(1), Split::train);
  EXPECT_EQ(dataset.split(2), Split::validation);
  EXPECT_EQ(dataset.split(4), Split::test);
  EXPECT_EQ(report_.items_untrained, 1);  // d
  EXPECT_EQ(report_.validation, 1);
}

TEST_F(PrepareValues, RowsOfHistoriesWithLabels) {
  PrepareOptions options = given(
      "file\tuser\ttarget\tlabel\thist\tmarks\n"
      "train\t5\tx\t1\ta,b\t0,1\ntest\t5\ty\t0\tb\t1\ntrain\t5\tz\t0\t\t\n");
  options.separator = "\t";
  options.split_column = "file";
  options.history_column = "hist";
  options.history_labels_column = "marks";
  options.label_column = "label";
  const Dataset dataset = prepared(options);
  const test::Prepared got = test::read_prepared(options.output);
  EXPECT_EQ(got.users, (Keys{"5", "5", "5"}));  // training first, in the order of rows
  EXPECT_EQ(got.items, (std::vector<Keys>{{"a", "b", "x"}, {"z"}, {"b", "y"}}));
  EXPECT_THAT(labels_of(dataset), ElementsAre(0, 1, 1, 0, 1, 0));
  EXPECT_EQ(dataset.split(2), Split::test);
}

TEST_F(PrepareValues, BadLinesSayWhy) {
  const auto refused = [&](const std::string& row, const std::string& part) {
    PrepareOptions options = given("user,item,label,act,price,hist,marks\n" + row + "\n");
    options.label_column = "label";
    if (row.find(';') == std::string::npos) {
      options.action_column = "act";
      options.event_features = {"price:number"};
    } else {
      options.split_by_prefix = true;
      options.training_names = {"u"};
      options.history_column = "hist";
      options.history_labels_column = "marks";
    }
    SR_EXPECT_ERROR(prepare(options), ErrorKind::data, part);
  };
  refused("u,a,2,view,1,,", "label '2' is not 0 or 1; for other numbers");
  refused("u,a,1,,1,,", "no act");
  refused("u,a,1,view,cheap,,", "the price 'cheap' is not a number");
  refused("u,a,1,;,1,a b,1", "1 labels of 2 items in the history");
  refused("u,a,1,;,1,a  b,1 1 1", "no item in the history");
  refused("w,a,1,;,1,a b,1 1", "'w' is of no split");
}

TEST_F(PrepareValues, OptionsThatContradict) {
  const PrepareOptions good = given("user,item\nu,a\n");
  const auto refused = [&](const std::function<void(PrepareOptions&)>& change,
                           const std::string& part) {
    PrepareOptions options = good;
    change(options);
    SR_EXPECT_ERROR(prepare(options), ErrorKind::usage, part);
  };
  refused([](auto& o) { o.positive = 4; }, "--label too");
  refused([](auto& o) { o.user_features.path = "u.csv"; }, "--user-features-columns");
  refused([](auto& o) { o.validation_share = 0.1; }, "--validation-share");
  refused([](auto& o) { o.history_column = "h"; }, "--split-column");
  refused([](auto& o) { o.last_targets_only = true; }, "--targets=last");
  refused([](auto& o) { o.session_gap = 5; }, "no time column");
  refused([](auto& o) { o.event_features = {"gap"}; }, "'gap' cannot be the name");
  refused([](auto& o) { o.event_features = {"a", "a"}; }, "named twice");
  refused(
      [](auto& o) {
        o.split_by_prefix = true;
        o.split_column = "x";
      },
      "give one of");
}

// The values of a column that is none of categories would fill the memory: they are refused.
TEST_F(PrepareValues, TablesOfValuesAreBounded) {
  std::string text = "user,item,kind\n";
  for (int i = 0; i < 2000; ++i) text += fmt::format("u{},i,value {}\n", i, i);
  PrepareOptions options = given(text);
  options.event_features = {"kind"};
  options.memory_bytes = std::size_t{1} << 20;
  SR_EXPECT_ERROR(prepare(options), ErrorKind::data, "kind:number");
}

}  // namespace
}  // namespace seqrank
