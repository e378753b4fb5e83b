// Tables in files: the bits of tables in memory, rows made only where a step reads them, and what
// goes wrong with disks said in a line.
#include <filesystem>

#include "tests/trainer/train_support.h"
#include "trainer/file_memory.h"
#include "trainer/load_model.h"
#include "trainer/memory_plan.h"

namespace seqrank {
namespace {

class TableFile : public Train {
 protected:
  static Settings with(const std::string& tier, Settings settings = {}) {
    settings.insert({{"table.optimiser", "rowwise_adagrad"},
                     {"table.tier", tier},
                     {"loss.kind", "sampled_softmax"},
                     {"loss.negatives", "5"},
                     {"train.steps", "60"},
                     {"train.rate_scale", "items*:4"}});
    return settings;
  }
  Settings in_memory(Settings settings = {}) { return with("memory", std::move(settings)); }
  Settings in_file(Settings settings = {}) { return with("file", std::move(settings)); }

  // What refuses to train so.
  std::string message(int ranks, const Settings& settings, ErrorKind kind) {
    try {
      run(ranks, "refused", settings);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    return "";
  }
};

TEST_F(TableFile, HasTheBitsOfATableInMemory) {
  const Settings split = {{"table.split", "yes"}, {"table.group", "all"}};
  for (const char* rule : {"rowwise_adagrad", "lazy_adam"})
    for (const auto& [ranks, tied] : {std::pair(1, "yes"), {1, "no"}, {3, "yes"}}) {
      Settings form = ranks == 1 ? Settings() : split;
      form.insert({{"table.optimiser", rule}, {"model.tied", tied}});
      const std::string name = std::string(rule) + std::to_string(ranks) + tied;
      run(ranks, name + "-memory", in_memory(form));
      run(ranks, name + "-file", in_file(form));
      EXPECT_EQ(losses(name + "-file"), losses(name + "-memory")) << name;
      EXPECT_EQ(state(name + "-file", 60), state(name + "-memory", 60)) << name;
    }
}

TEST_F(TableFile, IsEvaluatedAsATableInMemory) {
  const Settings settings = {
      {"train.evaluate_every", "1"}, {"train.epochs", "2"}, {"train.steps", "0"}};
  run(1, "memory", in_memory(settings));
  run(1, "file", in_file(settings));
  run(3, "three", in_file(settings));
  EXPECT_EQ(losses("file"), losses("memory"));
  const double value = saved("memory").best_value;
  EXPECT_GT(value, 0);
  EXPECT_NEAR(saved("file").best_value, value, 2e-3);
  EXPECT_NEAR(saved("three").best_value, value, 2e-3);
}

// Into memory or a file, on one rank and on three.
TEST_F(TableFile, IsUsedFromAFileOrFromMemory) {
  run(1, "used", in_file());
  const Dataset dataset = Dataset::open(data_);
  const auto answer = [&](Communicator& comm, const Settings& how) {
    Context ctx(Device::cpu, 1);
    const auto loaded =
        load_model(ctx, comm, temp_.path() + "/used", "", dataset, how, [](const std::string&) {});
    std::int64_t of_table = 0;  // in memory
    for (const Parameter& p : loaded->parameters.parameters())
      if (!p.apart) of_table += p.name == "items" ? p.shape.numel() : 0;
    EXPECT_EQ(of_table == 0, !how.contains("table.tier"));
    const Protocol protocol(dataset, protocol_options_from(loaded->options));
    return evaluate(ctx, comm, *loaded->model, protocol,
                    evaluate_options_from(loaded->options, Split::test), loaded->exchange.get())
        .rank_Q;
  };
  const auto memory = answer(*make_null_communicator(), {{"table.tier", "memory"}});
  EXPECT_EQ(answer(*make_null_communicator(), {}), memory);
  with_ranks(3, [&](Communicator& comm) {
    EXPECT_EQ(answer(comm, {{"table.split", "yes"}, {"table.group", "all"}}), memory);
  });
}

// Into memory and out of it, too.
TEST_F(TableFile, StoppedAndResumedIsBitwiseTheUninterruptedRun) {
  run(1, "whole", in_memory());
  run(1, "parts", in_file({{"train.stop_at_step", "10"}}));
  run(1, "parts", in_file({{"train.stop_at_step", "20"}}));
  run(1, "parts", in_memory({{"train.stop_at_step", "30"}}));
  run(1, "parts", in_file());
  EXPECT_EQ(losses("parts"), losses("whole"));
  EXPECT_EQ(state("parts", 60), state("whole", 60));
}

TEST_F(TableFile, RowsAreMadeWhenAStepReadsThem) {
  const Dataset dataset = Dataset::open(data_);
  const auto comm = make_null_communicator();
  Context ctx(Device::cpu, 1);
  const Settings few = {{"train.batch", "1"}};
  TrainingParts memory(ctx, *comm, dataset, options("memory", in_memory(few)));
  TrainingParts file(ctx, *comm, dataset, options("file", in_file(few)));
  const auto table = [](TrainingParts& parts) -> const Parameter& {
    for (const Parameter& p : parts.parameters.parameters())
      if (p.name == "items") return p;
    throw Error(ErrorKind::data, "no items");
  };
  const auto all = [&](TrainingParts& parts) {
    const Tensor rows = table(parts).rows(ctx, 0, 60);
    const auto values = rows.span<float>();
    return std::vector<float>(values.begin(), values.end());
  };
  EXPECT_EQ(all(file), all(memory));
  EXPECT_EQ(memory.table_memory, nullptr);
  const Batch batch = file.loader.next();
  file.step->run(batch, 0, 1e-2f, TrainStep::Wish::go_on);
  memory.step->run(memory.loader.next(), 0, 1e-2f, TrainStep::Wish::go_on);
  memory.exchange->settle();
  EXPECT_EQ(all(file), all(memory));
  const auto read = batch.item_rows.id_U.span<std::int32_t>();
  ASSERT_LT(read.size(), 30u);
  const float* const values = table(file).local_value().data<float>();
  for (std::int32_t row = 0; row < 60; ++row)
    EXPECT_EQ(std::all_of(values + row * 8, values + row * 8 + 8, [](float x) { return x == 0; }),
              !std::ranges::binary_search(read, row))
        << row;
  EXPECT_TRUE(std::filesystem::is_empty(temp_.path() + "/file")) << "its file has no name";
}

TEST_F(TableFile, IsPlannedApartFromMemory) {
  for (const int ranks : {1, 3}) {
    const std::string name = "planned" + std::to_string(ranks);
    const Options given = options(name, in_file({{"model.width", "64"}}));
    const MemoryPlan plan = plan_memory(Dataset::open(data_), given, {ranks});
    const TrainResult taken = run(ranks, name, in_file({{"model.width", "64"}}));
    const std::int64_t rows = 60 / ranks;
    EXPECT_GE(plan.file_bytes, rows * (64 + 1) * 4);
    EXPECT_LE(plan.file_bytes, rows * (64 + 1) * 4 * 5 / 4);
    EXPECT_EQ(plan.checkpoint_bytes, taken.checkpoint_bytes);
    std::int64_t sum = taken.checkpoint_bytes;
    for (const std::int64_t bytes : taken.peak_bytes) sum += bytes;
    EXPECT_NEAR(static_cast<double>(plan.total()) / static_cast<double>(sum), 1, 0.1);
    for (const Tag tag : {Tag::parameter, Tag::gradient, Tag::optimiser})
      EXPECT_EQ(plan.peak_bytes[static_cast<int>(tag)], taken.peak_bytes[static_cast<int>(tag)]);
  }
}

// Of bf16 half the memory, or half the file.
TEST_F(TableFile, OrMemoryIsHalfAsLargeOfBf16) {
  const auto planned = [&](const char* tier, const char* dtype) {
    const Options given =
        options("planned", with(tier, {{"model.width", "64"}, {"table.dtype", dtype}}));
    return plan_memory(Dataset::open(data_), given, {1, 1});
  };
  const auto parameters = [](const MemoryPlan& plan) {
    return plan.peak_bytes[static_cast<int>(Tag::parameter)];
  };
  constexpr std::int64_t kHalf = 60 * 64 * 2, kBlock = 512;  // memory is given in such
  EXPECT_NEAR(planned("file", "fp32").file_bytes - planned("file", "bf16").file_bytes, kHalf,
              kBlock);
  EXPECT_NEAR(parameters(planned("memory", "fp32")) - parameters(planned("memory", "bf16")), kHalf,
              kBlock);
}

TEST_F(TableFile, WhatItCannotDoIsRefused) {
  using testing::HasSubstr;
  EXPECT_THAT(message(1, in_file({{"table.optimiser", "adamw"}}), ErrorKind::usage),
              HasSubstr("--table.optimiser=rowwise_adagrad"));
  EXPECT_THAT(message(2, in_file({{"table.split", "no"}}), ErrorKind::usage),
              HasSubstr("--table.split=yes"));
  EXPECT_THAT(message(4, in_file({{"table.group", "2"}}), ErrorKind::usage),
              HasSubstr("--table.group=all"));
  EXPECT_THAT(message(1, in_file({{"table.folder", "/proc/tables"}}), ErrorKind::data),
              HasSubstr("/proc/tables: cannot be made"));
  const auto memory = make_file_memory(temp_.path() + "/full");
  try {
    memory->obtain(std::size_t{1} << 45);
    FAIL() << "32 TB";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::device);
    EXPECT_THAT(error.what(), HasSubstr("no room for 35184.4 GB of a table"));
    EXPECT_THAT(error.what(), HasSubstr("--table.folder"));
  }
}

}  // namespace
}  // namespace seqrank
