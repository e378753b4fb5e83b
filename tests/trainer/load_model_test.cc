// Using a run: only with the catalogue that it was trained on, numbered the same.
#include "trainer/load_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/dataset_writer.h"
#include "tests/trainer/checkpoint_support.h"
#include "trainer/evaluate.h"
#include "trainer/train.h"

namespace seqrank {
namespace {

// 20 sequences over five items; `keys` in order of id, "" for a file without keys. With two scenes
// where they are named, by a letter each.
void write_data(const std::string& path, const std::string& keys, int sequences = 20,
                const std::string& scenes = "") {
  DatasetWriter writer(path);
  for (int s = 0; s < sequences; ++s)
    writer.add_sequence(std::vector<std::int32_t>{s % 5, (s + 1) % 5, (s + 2) % 5, (s + 3) % 5},
                        {});
  for (const char key : keys) writer.add_item_key(std::string(1, key));
  for (int s = 0; s < sequences && !scenes.empty(); ++s)
    writer.append("/event/domain", std::vector<std::int32_t>{0, 1, 1, 0});
  for (const char scene : scenes) writer.append_text("/domain/name", std::string(1, scene));
  writer.finish(5);
}

class LoadModel : public testing::Test {
 protected:
  void train_on(const std::string& data, const std::string& protocol = "p1",
                const std::string& model = "attention_rnn",
                const std::map<std::string, std::string>& more = {}) {
    Options options(train_options());
    options.declare({{"model.name", OptionKind::text, model, "model"}});
    options.declare(model_options(model));
    for (const auto& [key, value] :
         std::map<std::string, std::string>{{"run", run_},
                                            {"data", data},
                                            {"data.protocol", protocol},
                                            {"model.width", "4"},
                                            {"train.save_every", "2"},
                                            {"train.evaluate_every", "0"},
                                            {"train.steps", "4"}})
      options.set(key, value, "test");
    for (const auto& [key, value] : more) options.set(key, value, "test");
    train(ctx_, *comm_, Dataset::open(data), options, {}, {});
  }
  // "" or why not.
  std::string load(const std::string& data) {
    reports_.clear();
    try {
      const Dataset dataset = Dataset::open(data);
      load_model(ctx_, *comm_, run_, "", dataset, {},
                 [this](const std::string& line) { reports_.push_back(line); });
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 6);
      return error.what();
    }
  }
  std::string file(const std::string& name) const { return temp_.path() + "/" + name; }

  Scratch temp_;
  std::string run_ = temp_.path() + "/run";
  std::unique_ptr<Communicator> comm_ = make_null_communicator();
  Context ctx_{Device::cpu, 1};
  std::vector<std::string> reports_;
};

TEST_F(LoadModel, RefusesTheSameItemsInAnotherOrderAndAllowsNewerEvents) {
  write_data(file("a.h5"), "abcde");
  write_data(file("more.h5"), "abcde", 30);
  write_data(file("permuted.h5"), "abced");
  write_data(file("keyless.h5"), "", 30);
  train_on(file("a.h5"));
  EXPECT_EQ(load(file("a.h5")), "");
  EXPECT_EQ(load(file("more.h5")), "");
  EXPECT_THAT(load(file("permuted.h5")), testing::HasSubstr("item keys' fingerprint"));
  EXPECT_THAT(load(file("keyless.h5")), testing::HasSubstr("data fingerprint"));
}

TEST_F(LoadModel, WithoutKeysOnlyTheSameDataWillDo) {
  write_data(file("a.h5"), "");
  write_data(file("more.h5"), "", 30);
  train_on(file("a.h5"));
  EXPECT_EQ(load(file("a.h5")), "");
  EXPECT_THAT(load(file("more.h5")), testing::HasSubstr("data fingerprint"));
}

TEST_F(LoadModel, RefusesOtherNumbersOfTheValuesOfAColumnThatTheModelReads) {
  write_data(file("a.h5"), "abcde", 20, "xy");
  write_data(file("more.h5"), "abcde", 30, "xy");
  write_data(file("permuted.h5"), "abcde", 30, "yx");
  train_on(file("a.h5"), "p1", "sasrec", {{"model.input", "position,domain"}});
  EXPECT_EQ(load(file("more.h5")), "");
  EXPECT_THAT(load(file("permuted.h5")),
              testing::AllOf(testing::HasSubstr("another catalogue"),
                             testing::HasSubstr("names of the values of domain")));
  std::filesystem::remove_all(run_);
  train_on(file("a.h5"), "p1", "sasrec", {{"model.input", "position"}});
  EXPECT_EQ(load(file("permuted.h5")), "");
}

TEST_F(LoadModel, ADamagedNewestCheckpointIsToldAndAnOlderOneTaken) {
  write_data(file("a.h5"), "abcde");
  train_on(file("a.h5"));
  write_file(checkpoint_path(run_ + "/checkpoints", 4) + "/manifest.json", "{");
  EXPECT_EQ(load(file("a.h5")), "");
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_THAT(reports_[0], testing::HasSubstr("step 4 is passed over"));
}

TEST_F(LoadModel, SaysWhatWasTrainedUnderAnotherProtocol) {
  write_data(file("a.h5"), "abcde");
  train_on(file("a.h5"), "session");
  const Dataset dataset = Dataset::open(file("a.h5"));
  const auto load_with = [&](const std::map<std::string, std::string>& settings) {
    reports_.clear();
    const auto loaded = load_model(ctx_, *comm_, run_, "", dataset, settings,
                                   [this](const std::string& line) { reports_.push_back(line); });
    return loaded->options.text("data.protocol");
  };
  EXPECT_EQ(load_with({}), "session");
  EXPECT_EQ(load_with({{"data.max_length", "2"}, {"data.protocol", "session"}}), "session");
  EXPECT_TRUE(reports_.empty());
  EXPECT_EQ(load_with({{"data.protocol", "p1"}}), "p1");
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_THAT(reports_[0], testing::HasSubstr("trained under protocol session, asked under p1"));
}

// The last tenth of the sequences has nothing but item 4, the others never have it.
TEST_F(LoadModel, CountsWhatTheProtocolLeavesForTraining) {
  DatasetWriter writer(file("a.h5"));
  for (int s = 0; s < 18; ++s) writer.add_sequence(std::vector<std::int32_t>{0, 1, 2, 3}, {});
  for (int s = 0; s < 2; ++s) writer.add_sequence(std::vector<std::int32_t>(50, 4), {});
  writer.finish(5);
  const Dataset dataset = Dataset::open(file("a.h5"));
  for (const auto& [protocol, rank] :
       std::map<std::string, std::int32_t>{{"p1", 1}, {"session", 5}}) {
    const auto loaded = load_model(ctx_, *comm_, "", "popularity", dataset,
                                   {{"data.protocol", protocol}, {"evaluate.seen", "kept"}},
                                   [](const std::string&) {});
    const Evaluation result = evaluate(ctx_, *comm_, *loaded->model,
                                       Protocol(dataset, protocol_options_from(loaded->options)),
                                       evaluate_options_from(loaded->options, Split::test));
    EXPECT_EQ(result.rank_Q.back(), rank) << protocol;
  }
}

}  // namespace
}  // namespace seqrank
