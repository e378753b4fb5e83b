// Losses over drawn negatives in training: their way to the exact softmax as more are drawn, the
// same losses on any number of ranks, options that do not go together.
#include <cmath>

#include "backend/ops/activation.h"
#include "models/nn/item_table.h"
#include "tests/support/tensor_values.h"
#include "tests/trainer/train_support.h"

namespace seqrank {
namespace {

class SampledLosses : public Train {
 protected:
  // Distance to the exact softmax of a batch with random states and items: of the loss and of the
  // gradient of the states, relative.
  std::pair<double, double> distance(const Batch& batch, const Settings& settings) {
    std::vector<double> loss, gradient[2];
    for (const bool exact : {true, false}) {
      Context ctx(Device::cpu, 1);
      Options given(ItemTable::options());
      given.set("model.item_scale", "0.5", "test");
      if (!exact)
        for (const auto& [key, value] : settings) given.set(key, value, "test");
      ParameterStore store;
      ItemTable items(given, 60, 8, store);
      items.declare_output(given, store);
      store.allocate(ctx, 5);
      Tape tape(ctx, TapeMode::training, 1);
      Var h(ctx.empty(DType::f32, {batch.events, 8}));
      std::vector<double> values(batch.events * 8);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(0.7 * i * i);
      Tensor h_ND = h.value();
      set_values(h_ND, values);
      tape.record(h, {}, [&, h] { gradient[exact] = get_values(h.gradient()); });
      Var value = items.loss(tape, h, batch);
      tape.backward(value);
      loss.push_back(get_values(value.value())[0]);
    }
    double squared = 0, difference = 0;
    for (std::size_t i = 0; i < gradient[0].size(); ++i) {
      squared += gradient[true][i] * gradient[true][i];
      difference += std::pow(gradient[true][i] - gradient[false][i], 2);
    }
    return {std::abs(loss[1] - loss[0]) / loss[0], std::sqrt(difference / squared)};
  }

  Batch batch_of(std::int64_t sequences, const Settings& settings, Arena& arena) {
    Options given(ItemTable::options());
    for (const auto& [key, value] : settings) given.set(key, value, "test");
    ParameterStore store;
    LoaderOptions options{.seed = 2, .global_batch = sequences, .max_length = 50};
    options.needs = ItemTable(given, 60, 8, store).needs();
    const Dataset dataset = Dataset::open(data_);
    return TrainLoader(Protocol(dataset), arena, options).next();
  }
};

TEST_F(SampledLosses, MoreNegativesComeNearerToTheExactSoftmax) {
  Arena arena;
  for (const char* sampler : {"uniform", "frequency"}) {
    double last = 1;
    for (const char* count : {"20", "1000", "50000"}) {
      const Settings settings = {
          {"loss.kind", "sampled_softmax"}, {"loss.sampler", sampler}, {"loss.negatives", count}};
      const auto [loss, gradient] = distance(batch_of(10, settings, arena), settings);
      EXPECT_LT(gradient, 0.5 * last) << sampler << " " << count;
      last = gradient;
    }
    EXPECT_LT(last, 0.02) << sampler;
  }
}

TEST_F(SampledLosses, AllItemsOnceAreTheExactSoftmax) {
  Arena arena;
  const Settings settings = {
      {"loss.kind", "sampled_softmax"}, {"loss.sampler", "distinct"}, {"loss.negatives", "1000"}};
  const auto [loss, gradient] = distance(batch_of(10, settings, arena), settings);
  EXPECT_LT(loss, 1e-6);
  EXPECT_LT(gradient, 1e-5);
}

// Few targets know little of the catalogue; those of a whole epoch, how often each is one.
TEST_F(SampledLosses, MoreTargetsOfTheBatchComeNearerToo) {
  Arena arena;
  const Settings settings = {{"loss.kind", "sampled_softmax"},
                             {"loss.sampler", "in_batch"},
                             {"loss.negatives", "1000000"}};
  double last = 1;
  for (const std::int64_t sequences : {2, 15, 150}) {
    const auto [loss, gradient] = distance(batch_of(sequences, settings, arena), settings);
    EXPECT_LT(gradient, 0.7 * last) << sequences;
    EXPECT_LT(loss, sequences == 150 ? 0.01 : 1);
    last = gradient;
  }
  EXPECT_LT(last, 0.05);
}

TEST_F(SampledLosses, AreTheSameOnOneAndThreeRanks) {
  const Settings forms[] = {
      {{"loss.kind", "sampled_softmax"}, {"loss.sampler", "in_batch"}, {"loss.negatives", "30"}},
      {{"loss.kind", "bpr_max"}, {"loss.sampler", "frequency"}, {"model.score", "cosine"}},
      {{"loss.kind", "bce"}, {"model.tied", "no"}, {"train.batch", "2"}},
      {{"loss.kind", "gbce"},  // with a mask's row that the output's table has no need of
       {"loss.negatives", "20"},
       {"model.tied", "no"},
       {"model.name", "time_transformer"},
       {"model.input", "position"}}};
  for (const Settings& form : forms) {
    Settings settings = form;
    settings["train.steps"] = "25";
    const std::string kind = form.at("loss.kind");
    for (int ranks : {1, 3}) run(ranks, kind + std::to_string(ranks), settings);
    const auto one = losses(kind + "1"), three = losses(kind + "3");
    ASSERT_EQ(one.size(), 25u);
    for (std::size_t i = 0; i < one.size(); ++i)
      ASSERT_NEAR(three[i] / one[i], 1, 1e-5) << kind << ", step " << i + 1;
  }
}

TEST_F(SampledLosses, OptionsThatDoNotGoTogetherAreRefused) {
  const auto message = [](const Settings& settings) -> std::string {
    Options given(ItemTable::options());
    for (const auto& [key, value] : settings) given.set(key, value, "test");
    ParameterStore store;
    try {
      ItemTable(given, 60, 8, store);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.what();
    }
    return "";
  };
  using testing::HasSubstr;
  EXPECT_THAT(message({{"loss.negatives", "7"}}), HasSubstr("--loss.negatives=7"));
  EXPECT_THAT(message({{"loss.kind", "bce"}, {"model.label_smoothing", "0.1"}}),
              HasSubstr("--model.label_smoothing=0.1: --loss.kind=bce does not read it; softmax"));
  EXPECT_THAT(message({{"loss.kind", "bpr"}, {"loss.log_q", "no"}}), HasSubstr("sampled_softmax"));
  EXPECT_THAT(message({{"loss.kind", "gbce"}, {"loss.negatives", "60"}}), HasSubstr("60 items"));
  EXPECT_THAT(message({{"loss.kind", "gbce"}, {"loss.sampler", "in_batch"}}),
              HasSubstr("in_batch"));
  EXPECT_EQ(message({{"loss.kind", "gbce"}, {"loss.negatives", "59"}}), "");
  EXPECT_EQ(message({{"loss.kind", "bpr_max"}, {"loss.bpr_reg", "0.5"}}), "");
}

}  // namespace
}  // namespace seqrank
