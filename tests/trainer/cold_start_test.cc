// Vectors of items without training events, and what is popular in a scene, by hand.
#include "trainer/cold_start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/dataset_writer.h"
#include "tests/data/data_test_support.h"
#include "tests/support/tensor_values.h"
#include "trainer/build_model.h"
#include "trainer/evaluate.h"

namespace seqrank {
namespace {

using testing::ElementsAre;
using Items = std::vector<std::int32_t>;

class ColdStart : public testing::Test {
 protected:
  // Six items, of which the last events of sequences (the test of protocol p1, and validation)
  // alone have 3, 4 and 5. With kinds, colours and scenes where they are asked for.
  Dataset made(bool features, bool labels = false) {
    DatasetWriter writer(scratch_.file("a.h5"));
    writer.add_sequence(Items{0, 0, 1, 3, 4}, {});
    writer.add_sequence(Items{2, 1, 5, 0}, {});
    if (labels) writer.append("/event/label", std::vector<std::uint8_t>(9, 1));
    if (features) {
      writer.append("/event/domain", Items{0, 0, 1, 1, 1, 1, 1, 0, 0});
      writer.append("/item/feature/colour", Items{1, 2, 2, 2, 0, 0});
      writer.append("/item/feature/kind", Items{1, 1, 2, 1, 2, 3});
      for (const char* name : {"street", "home"}) writer.append_text("/domain/name", name);
      for (const char* name : {"", "red", "blue"})
        writer.append_text("/item/feature_values/colour", name);
      for (const char* name : {"", "a", "b", "c"})
        writer.append_text("/item/feature_values/kind", name);
    }
    writer.finish(6);
    return Dataset::open(scratch_.file("a.h5"));
  }
  test::Scratch scratch_;
};

TEST_F(ColdStart, ItemsGetTheMeanOfTheirFeatures) {
  const Dataset dataset = made(true);
  Context ctx(Device::cpu, 1);
  ParameterStore store;
  store.declare("items", {7, 2}, {}).by_item = true;  // and the row of a mask
  store.declare("bias", {6}, {}).by_item = true;
  store.declare("other", {6}, {});
  store.allocate(ctx, 1);
  for (Parameter& p : store.parameters()) {
    Tensor value = p.local_value();
    for (std::size_t i = 0; i < value.span<float>().size(); ++i)
      value.span<float>()[i] = static_cast<float>(i + 1);
  }
  const ColdItems items =
      give_vectors_by_features(ctx, *make_null_communicator(), store, Protocol(dataset));
  EXPECT_EQ(items.cold, 3);
  EXPECT_EQ(items.given, 2);
  // Rows 0 to 2 are (1, 2), (3, 4), (5, 6). Item 3: blue as 1 and 2, (4, 5); kind a as 0 and 1,
  // (2, 3). Item 4: of no colour, kind b as 2. Item 5: nobody is of kind c.
  EXPECT_THAT(store.parameters()[0].value().span<float>(),
              ElementsAre(1, 2, 3, 4, 5, 6, 3, 4, 5, 6, 11, 12, 13, 14));
  EXPECT_THAT(store.parameters()[1].value().span<float>(), ElementsAre(1, 2, 3, 2, 3, 6));
  EXPECT_THAT(store.parameters()[2].value().span<float>(), ElementsAre(1, 2, 3, 4, 5, 6));
}

// Which all hold their items in one table: events and candidates alike.
TEST_F(ColdStart, ItemsOfClickModelsToo) {
  const Dataset dataset = made(true, true);
  for (const char* name : {"din", "target_attention"}) {
    Options options(evaluate_options());
    options.declare(model_options(name));
    options.set("model.width", "4", "test");
    Context ctx(Device::cpu, 1);
    ParameterStore store;
    const auto model = build_model(name, options, dataset, store);
    store.allocate(ctx, 1);
    const auto items = std::ranges::find(store.parameters(), "items", &Parameter::name);
    const auto x = items->local_value().span<float>();
    const std::vector<float> before(x.begin(), x.end());
    const ColdItems cold =
        give_vectors_by_features(ctx, *make_null_communicator(), store, Protocol(dataset));
    EXPECT_EQ(cold.given, 2) << name;
    for (int d = 0; d < 4; ++d) {
      EXPECT_EQ(x[0 * 4 + d], before[0 * 4 + d]) << name;
      EXPECT_NEAR(x[3 * 4 + d], (before[0 * 4 + d] + 2 * before[1 * 4 + d] + before[2 * 4 + d]) / 4,
                  1e-6)
          << name;
      EXPECT_EQ(x[4 * 4 + d], before[2 * 4 + d]) << name;
    }
  }
}

TEST_F(ColdStart, WithoutFeaturesNothingCanBeGiven) {
  const Dataset dataset = made(false);
  Context ctx(Device::cpu, 1);
  ParameterStore store;
  store.allocate(ctx, 1);
  SR_EXPECT_ERROR(
      give_vectors_by_features(ctx, *make_null_communicator(), store, Protocol(dataset)),
      ErrorKind::usage, "--item-features");
}

TEST_F(ColdStart, PopularityIsOfTheScene) {
  const Dataset with_scenes = made(true);
  const ScenePopularity popularity{Protocol(with_scenes)};
  EXPECT_THAT(popularity.scenes(), ElementsAre("street", "home"));
  EXPECT_THAT(popularity.events_V(0), ElementsAre(2, 0, 0, 0, 0, 0));
  EXPECT_THAT(popularity.events_V(1), ElementsAre(0, 2, 1, 0, 0, 0));
  EXPECT_THAT(popularity.events_V(-1), ElementsAre(2, 2, 1, 0, 0, 0));
  EXPECT_EQ(popularity.rank(1, 1), 1);
  EXPECT_EQ(popularity.rank(1, 2), 2);
  EXPECT_EQ(popularity.rank(-1, 0), 2);  // as often as item 1: below it
  EXPECT_EQ(popularity.rank(0, 5), 6);
  const Dataset without = made(false);
  EXPECT_THAT(ScenePopularity{Protocol(without)}.events_V(0), ElementsAre(2, 2, 1, 0, 0, 0));
}

}  // namespace
}  // namespace seqrank
