// Labels, splits and features: written, read, made into batches; files that break a rule.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <set>

#include "data/dataset.h"
#include "data/dataset_writer.h"
#include "data/event_columns.h"
#include "data/inspect.h"
#include "tests/data/data_test_support.h"
#include "tests/data/raw_dataset.h"

namespace seqrank {
namespace {

using test::RawDataset;
using test::Scratch;
using testing::ElementsAre;
using Bytes = std::vector<std::uint8_t>;
using Ids = std::vector<std::int32_t>;
using Reals = std::vector<float>;

// Two sequences of three and two events over three items.
void add_sequences(DatasetWriter& writer) {
  writer.add_sequence(Ids{0, 1, 2}, {});
  writer.add_sequence(Ids{2, 0}, {});
}

void write_all(const std::string& path) {
  DatasetWriter writer(path);
  add_sequences(writer);
  writer.append("/event/label", Bytes{1, 0, 1});
  writer.append("/event/label", Bytes{0, 1});
  writer.append("/event/action", Ids{0, 1, 1, 0, 0});
  for (const char* name : {"view", "buy"}) writer.append_text("/action/name", name);
  writer.append("/event/feature/price", Reals{0.5f, -1, 0, 2, 3});
  writer.append("/sequence/split", Bytes{0, 2});
  writer.append("/user/feature/age", Reals{1, -1});
  writer.append("/item/feature/genre", Ids{1, 0, 2});
  for (const char* name : {"", "drama", "crime"})
    writer.append_text("/item/feature_values/genre", name);
  writer.set_attribute("last_targets_only", 1.0);
  writer.finish(3);
}

TEST(Features, AreReadAsWritten) {
  Scratch scratch;
  write_all(scratch.file("a.h5"));
  const Dataset dataset = Dataset::open(scratch.file("a.h5"));
  EXPECT_TRUE(dataset.has_labels());
  Bytes label(4);
  dataset.read_labels(1, label);
  EXPECT_THAT(label, ElementsAre(0, 1, 0, 1));
  EXPECT_TRUE(dataset.has_splits());
  EXPECT_TRUE(dataset.last_targets_only());
  EXPECT_EQ(dataset.split(0), Split::train);
  EXPECT_EQ(dataset.split(1), Split::test);
  ASSERT_EQ(dataset.features(FeatureOf::event).size(), 2u);
  EXPECT_EQ(dataset.features(FeatureOf::event)[0].name, "action");
  EXPECT_EQ(dataset.features(FeatureOf::event)[0].values, 2);
  EXPECT_EQ(dataset.features(FeatureOf::event)[1].values, 0);
  EXPECT_EQ(dataset.feature_value(FeatureOf::event, "action", 1), "buy");
  EXPECT_EQ(dataset.feature_value(FeatureOf::item, "genre", 2), "crime");
  Ids genre(2);
  dataset.read_feature(FeatureOf::item, "genre", 1, genre);
  EXPECT_THAT(genre, ElementsAre(0, 2));
}

TEST(Features, AreOptional) {
  Scratch scratch;
  { RawDataset(scratch.file("a.h5")).whole(); }
  const Dataset dataset = Dataset::open(scratch.file("a.h5"));
  EXPECT_FALSE(dataset.has_labels());
  EXPECT_FALSE(dataset.has_splits());
  EXPECT_FALSE(dataset.last_targets_only());
  EXPECT_EQ(dataset.split(1), Split::train);
  EXPECT_TRUE(dataset.features(FeatureOf::item).empty());
}

TEST(Features, ChangeTheFingerprint) {
  Scratch scratch;
  const std::string path = scratch.file("a.h5");
  const auto fingerprint = [&](const std::function<void(RawDataset&)>& add) {
    {
      RawDataset raw(path);
      raw.whole();
      hdf5::GroupId(
          H5Gcreate2(raw.file().get(), "/event/feature", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
      add(raw);
    }
    return Dataset::open(path).fingerprint();
  };
  const std::vector<std::string> prints = {fingerprint([](RawDataset&) {}),
                                           fingerprint([](RawDataset& r) {
                                             r.numbers("/event/label", {1, 0, 1, 0, 1});
                                           }),
                                           fingerprint([](RawDataset& r) {
                                             r.numbers("/event/feature/a", {1, 0, 1, 0, 1});
                                           }),
                                           fingerprint([](RawDataset& r) {
                                             r.numbers("/event/feature/b", {1, 0, 1, 0, 1});
                                           }),
                                           fingerprint([](RawDataset& r) {
                                             r.numbers("/event/feature/b", {1, 0, 1, 1, 1});
                                           })};
  // That of the items and offsets alone is what it was before there were features.
  EXPECT_EQ(prints[0], "a8dcfeadf3844fff");
  EXPECT_EQ(std::set<std::string>(prints.begin(), prints.end()).size(), prints.size());
  EXPECT_EQ(
      fingerprint([](RawDataset& r) {
        r.numbers("/event/feature/b", {1, 0, 1, 1, 1}, H5T_STD_U8LE, test::packed_chunks(2).get());
      }),
      prints[4]);
}

TEST(Features, BecomeColumnsOfBatches) {
  Scratch scratch;
  write_all(scratch.file("a.h5"));
  const Dataset dataset = Dataset::open(scratch.file("a.h5"));
  const auto columns = event_columns(dataset, 7);
  EXPECT_EQ(columns.at("position"), 7);
  EXPECT_EQ(columns.at("action"), 2);
  EXPECT_EQ(columns.at("price"), 0);
  EXPECT_EQ(columns.at("user.age"), 0);
  EXPECT_EQ(columns.at("item.genre"), 3);
  EXPECT_EQ(columns.at("target.genre"), 3);
  EXPECT_FALSE(columns.contains("hour"));

  const BatchNeeds needs{.columns = {"action", "price", "user.age", "item.genre", "target.genre"},
                         .labels = true};
  check_columns(dataset, needs, 7);
  Arena arena;
  const std::vector<Window> windows = {{0, 1, 1}, {1, 3, 1}};
  Batch batch = pack_inputs(dataset, arena, windows);
  add_columns(dataset, arena, windows, needs, WithRows::no, batch);
  const auto values = [](const auto& span) { return std::vector(span.begin(), span.end()); };
  EXPECT_THAT(values(batch.ids.at("action").id_N.span<std::int32_t>()), ElementsAre(1, 0));
  EXPECT_THAT(values(batch.numbers.at("price").span<float>()), ElementsAre(-1, 2));
  EXPECT_THAT(values(batch.numbers.at("user.age").span<float>()), ElementsAre(1, -1));
  EXPECT_THAT(values(batch.ids.at("item.genre").id_N.span<std::int32_t>()), ElementsAre(0, 2));
  EXPECT_THAT(values(batch.label_N.span<float>()), ElementsAre(0, 0));
  EXPECT_FALSE(batch.ids.contains("target.genre"));  // what follows is not known
  EXPECT_FALSE(batch.target_label_N);

  batch.target_N = pack_targets(dataset, arena, windows);
  add_columns(dataset, arena, windows, needs, WithRows::yes, batch);
  EXPECT_THAT(values(batch.ids.at("target.genre").id_N.span<std::int32_t>()), ElementsAre(2, 1));
  EXPECT_THAT(values(batch.target_label_N.span<float>()), ElementsAre(1, 1));
  EXPECT_TRUE(batch.ids.at("target.genre").rows.id_U);

  SR_EXPECT_ERROR(check_columns(dataset, {.columns = {"item.year"}}, 7), ErrorKind::usage,
                  "no column item.year");
}

struct Broken {
  const char* name;
  void (*make)(RawDataset&);
  std::vector<const char*> message;
};

void make_groups(RawDataset& raw) {
  for (const char* group : {"/event/feature", "/event/feature_values", "/item/feature", "/action"})
    hdf5::GroupId(H5Gcreate2(raw.file().get(), group, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

const Broken kBroken[] = {
    {"Label",
     [](RawDataset& r) {
       r.numbers("/event/label", {0, 1, 1, 2, 0});
     },
     {"/event/label", "row 3", "value 2", "0 or 1"}},
    {"LabelsShort",
     [](RawDataset& r) {
       r.numbers("/event/label", {0, 1});
     },
     {"/event/label", "2 rows", "5 events"}},
    {"WideLabel",
     [](RawDataset& r) {
       r.numbers("/event/label", {0, 1, 0, 0, 256});
     },
     {"/event/label", "row 4", "value 256", "8 bits"}},
    {"Split",
     [](RawDataset& r) {
       r.numbers("/sequence/split", {0, 3});
     },
     {"/sequence/split", "row 1", "value 3", "2 (test)"}},
    {"SplitsShort",
     [](RawDataset& r) { r.numbers("/sequence/split", {0}); },
     {"/sequence/split", "1 rows", "2 sequences"}},
    {"LastTargetsWithoutSplit",
     [](RawDataset& r) {
       hdf5::write_attribute(r.file(), "", "last_targets_only", std::int64_t{1});
     },
     {"last_targets_only is 1", "/sequence/split"}},
    {"NegativeAction",
     [](RawDataset& r) {
       r.numbers("/event/action", {0, 1, -1, 0, 0});
     },
     {"/event/action", "row 2", "value -1", "start at 0"}},
    {"ActionWithoutName",
     [](RawDataset& r) {
       r.numbers("/event/action", {0, 1, 2, 0, 0}).variable_strings("/action/name", {"a", "b"});
     },
     {"/event/action", "row 2", "value 2", "number of names, 2"}},
    {"FeatureName",
     [](RawDataset& r) {
       r.numbers("/event/feature/a.b", {0, 1, 2, 0, 0});
     },
     {"/event/feature/a.b", "name of a feature", "letters"}},
    {"FeatureNameTaken",
     [](RawDataset& r) {
       r.numbers("/event/feature/hour", {0, 1, 2, 0, 0});
     },
     {"/event/feature/hour", "already"}},
    {"FeatureRows",
     [](RawDataset& r) {
       r.numbers("/item/feature/a", {0, 1});
     },
     {"/item/feature/a", "2 rows", "3 items"}},
    {"FeatureOfTexts",
     [](RawDataset& r) {
       r.variable_strings("/item/feature/a", {"a", "b", "c"});
     },
     {"/item/feature/a", "whole numbers"}},
    {"FeatureIsAGroup",
     [](RawDataset& r) {
       hdf5::GroupId(
           H5Gcreate2(r.file().get(), "/event/feature/a", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
     },
     {"/event/feature/a", "cannot be opened as a data set"}},
    {"FeatureIsALink",
     [](RawDataset& r) {
       H5Lcreate_soft("/event/item", r.file().get(), "/event/feature/a", H5P_DEFAULT, H5P_DEFAULT);
     },
     {"/event/feature/a", "link"}},
    {"NotFinite",
     [](RawDataset& r) {
       r.reals("/item/feature/a", {0, 1, std::numeric_limits<double>::quiet_NaN()});
     },
     {"/item/feature/a", "row 2", "nan", "finite"}},
    {"TooLargeForFloat",
     [](RawDataset& r) {
       r.reals("/item/feature/a", {0, 1e300, 1});
     },
     {"/item/feature/a", "row 1", "inf", "finite"}},
};

class BrokenFeatures : public testing::TestWithParam<Broken> {};

TEST_P(BrokenFeatures, AreRefusedWithFileAndRule) {
  Scratch scratch;
  const hdf5::QuietErrors quiet;
  const std::string path = scratch.file("broken.h5");
  {
    RawDataset raw(path);
    make_groups(raw.whole());
    GetParam().make(raw);
  }
  std::string message = "no error";
  try {
    Dataset::open(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    message = error.what();
  }
  EXPECT_EQ(message.find(path), 0u) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  for (const char* part : GetParam().message)
    EXPECT_NE(message.find(part), std::string::npos) << part << " not in: " << message;
}

INSTANTIATE_TEST_SUITE_P(Rules, BrokenFeatures, testing::ValuesIn(kBroken),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace seqrank
