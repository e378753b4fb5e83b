// The run folder: configuration written once, metrics without a step twice, the stop file.
#include "trainer/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>

#include "tests/trainer/checkpoint_support.h"

namespace seqrank {
namespace {

const std::vector<OptionSpec> kSpecs = {
    {"model.width", OptionKind::integer, "64", "units", "1.."},
    {"train.steps", OptionKind::integer, "100", "steps", "1.."},
    {"data", OptionKind::text, "", "data set"},
};

TEST(RunFolder, WritesTheConfigurationAndReadsItBack) {
  Scratch temp;
  RunFolder folder(temp.path() + "/runs/a");
  folder.create_and_lock();
  Options options(kSpecs);
  options.set("data", "x.h5", "test");
  folder.write_config(options);
  EXPECT_EQ(folder.config().at("model.width"), "64");
  EXPECT_EQ(folder.config().at("data"), "x.h5");
  options.set("model.width", "128", "test");
  folder.write_config(options);
  EXPECT_EQ(folder.config().at("model.width"), "128");
}

TEST(RunFolder, AConfigurationThatCannotBeWrittenLeavesNothingBehind) {
  Scratch temp;
  const RunFolder folder(temp.path());
  std::filesystem::create_directories(folder.config_path() + "/taken");  // the rename fails
  EXPECT_THROW(folder.write_config(Options(kSpecs)), Error);
  EXPECT_FALSE(std::filesystem::exists(folder.config_path() + ".tmp"));
}

TEST(RunFolder, ThatCannotBeMadeIsOneError) {
  Scratch temp;
  write_file(temp.path() + "/file", "x");
  try {
    RunFolder(temp.path() + "/file/run").create_and_lock();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::checkpoint);
    EXPECT_THAT(error.what(), testing::HasSubstr("file/run"));
  }
}

TEST(RunFolder, IsOfOneTrainingAtATime) {
  Scratch temp;
  std::optional<RunFolder> first(temp.path());
  first->create_and_lock();
  RunFolder second(temp.path());
  try {
    second.create_and_lock();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::checkpoint);
    EXPECT_THAT(error.what(), testing::HasSubstr("another training"));
  }
  first.reset();
  second.create_and_lock();
}

TEST(RunFolder, StopFileIsARequestThatCanBeWithdrawn) {
  Scratch temp;
  const RunFolder folder(temp.path());
  EXPECT_FALSE(folder.stop_file());
  write_file(temp.path() + "/STOP", "");
  EXPECT_TRUE(folder.stop_file());
  folder.withdraw_stop_file();
  EXPECT_FALSE(folder.stop_file());
  folder.withdraw_stop_file();
}

TEST(RunFolder, MetricsAreOneObjectALine) {
  Scratch temp;
  RunFolder folder(temp.path());
  EXPECT_EQ(folder.open_metrics(0), "");
  folder.append_step({50, 1, 2.5, 0.001, std::numeric_limits<double>::infinity(), 800, 1e4, 1.5});
  folder.append_evaluation(50, "validation", {{"ndcg@10", 0.125}, {"hr@10", 0.25}});
  const std::string text = read_file(folder.metrics_path());
  EXPECT_EQ(text,
            "{\"step\":50,\"epoch\":1,\"loss\":2.5,\"lr\":0.001,\"grad_norm\":null,"
            "\"events\":800,\"events_per_s\":10000.0,\"seconds\":1.5}\n"
            "{\"step\":50,\"split\":\"validation\",\"metrics\":{\"hr@10\":0.25,"
            "\"ndcg@10\":0.125}}\n");
  EXPECT_EQ(folder.metrics_bytes(), static_cast<std::int64_t>(text.size()));
}

TEST(RunFolder, ResumingCutsMetricsToWhatTheCheckpointSaw) {
  Scratch temp;
  std::int64_t bytes = 0;
  std::string kept;
  {
    RunFolder folder(temp.path());
    folder.open_metrics(0);
    folder.append_step({1, 1, 1, 1, 1, 1, 1, 1});
    bytes = folder.metrics_bytes();
    kept = read_file(folder.metrics_path());
    folder.append_step({2, 1, 1, 1, 1, 1, 1, 1});
  }
  RunFolder folder(temp.path());
  EXPECT_EQ(folder.open_metrics(bytes), "");
  EXPECT_EQ(read_file(folder.metrics_path()), kept);
  folder.append_step({2, 1, 1, 1, 1, 1, 1, 1});
  EXPECT_TRUE(read_file(folder.metrics_path()).starts_with(kept + "{\"step\":2,"));
}

TEST(RunFolder, DropsATornLineAndSaysWhenLinesAreLost) {
  Scratch temp;
  RunFolder folder(temp.path());
  write_file(folder.metrics_path(), "{\"step\":1}\n{\"st");
  EXPECT_THAT(folder.open_metrics(40), testing::HasSubstr("lines lost"));
  EXPECT_EQ(read_file(folder.metrics_path()), "{\"step\":1}\n");
  // A torn line longer than what is read at once.
  write_file(folder.metrics_path(), "{\"step\":1}\n" + std::string(10000, 'x'));
  EXPECT_NE(folder.open_metrics(10011), "");
  EXPECT_EQ(read_file(folder.metrics_path()), "{\"step\":1}\n");
  EXPECT_EQ(folder.metrics_bytes(), 11);
}

TEST(RunFolder, AFullDiskIsOneErrorOfTheCheckpointClass) {
  Scratch temp;
  RunFolder folder(temp.path() + "/absent");
  try {
    folder.open_metrics(0);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::checkpoint);
  }
}

}  // namespace
}  // namespace seqrank
