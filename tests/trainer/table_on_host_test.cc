// Tables in the host's memory that a device trains: the bits of tables on the device, however many
// of their rows it keeps, on one rank and several; and what is refused.
#include "backend/device.h"
#include "tests/support/op_case.h"
#include "tests/trainer/train_support.h"
#include "trainer/load_model.h"
#include "trainer/memory_plan.h"

namespace seqrank {
namespace {

constexpr int kSteps = 4;
// MiB: of a table of 60 rows of 16 no row, about half of them, all.
constexpr const char* kNone = "0";
constexpr const char* kSome = "0.002";
constexpr const char* kAll = "1";

class TrainOnDeviceTableOnHost : public Train {
 protected:
  void SetUp() override {
    const std::string why = why_no_device(Device::cuda);
    if (!why.empty()) GTEST_SKIP() << why;
  }
  static Settings with(const std::string& tier, Settings settings = {}) {
    settings.insert({{"table.optimiser", "rowwise_adagrad"},
                     {"table.tier", tier},
                     {"table.cache", kSome},
                     {"loss.kind", "sampled_softmax"},
                     {"loss.negatives", "5"},
                     {"model.width", "16"},
                     {"train.steps", std::to_string(kSteps)},
                     {"train.rate_scale", "items*:4"}});
    return settings;
  }
  static Settings on_device(Settings settings = {}) { return with("memory", std::move(settings)); }
  static Settings on_host(Settings settings = {}) { return with("host", std::move(settings)); }
};

TEST_F(TrainOnDeviceTableOnHost, HasTheBitsOfATableOnTheDevice) {
  const Settings split = {{"table.split", "yes"}, {"table.group", "all"}};
  for (const char* rule : {"rowwise_adagrad", "lazy_adam"})
    for (const auto& [ranks, tied] : {std::pair(1, "no"), {3, "yes"}}) {
      Settings form = ranks == 1 ? Settings() : split;
      form.insert({{"table.optimiser", rule}, {"model.tied", tied}});
      const std::string name = rule + std::to_string(ranks);
      run_on_device(ranks, name, on_device(form));
      for (const char* cache : {kNone, kSome, kAll}) {
        form["table.cache"] = cache;
        const std::string other = name + "-" + cache;
        run_on_device(ranks, other, on_host(form));
        EXPECT_EQ(losses(other), losses(name)) << other;
        EXPECT_EQ(state(other, kSteps), state(name, kSteps)) << other;
      }
    }
}

TEST_F(TrainOnDeviceTableOnHost, RowsOfBf16HaveTheBitsOfThoseOnTheDevice) {
  for (const int ranks : {1, 2}) {
    Settings settings = {{"table.dtype", "bf16"}, {"train.evaluate_every", "1"}};
    if (ranks > 1) settings.insert({{"table.split", "yes"}, {"table.group", "all"}});
    const std::string name = "bf16-" + std::to_string(ranks), other = name + "-host";
    run_on_device(ranks, name, on_device(settings));
    Settings stopped = settings;
    stopped["train.stop_at_step"] = "2";
    run_on_device(ranks, other, on_host(stopped));
    run_on_device(ranks, other, on_host(settings));
    EXPECT_EQ(losses(other), losses(name)) << ranks;
    EXPECT_EQ(state(other, kSteps), state(name, kSteps)) << ranks;
  }
}

TEST_F(TrainOnDeviceTableOnHost, IsEvaluatedAsATableOnTheDevice) {
  const Settings settings = {
      {"train.evaluate_every", "1"}, {"train.epochs", "1"}, {"train.steps", "0"}};
  run_on_device(1, "device", on_device(settings));
  run_on_device(1, "host", on_host(settings));
  run_on_device(2, "two", on_host(settings));
  EXPECT_EQ(losses("host"), losses("device"));
  const double value = saved("device").best_value;
  EXPECT_GT(value, 0);
  EXPECT_NEAR(saved("host").best_value, value, 2e-3);
  EXPECT_NEAR(saved("two").best_value, value, 2e-3);
}

// Into the device's memory and out of it, and on a CPU from a file.
TEST_F(TrainOnDeviceTableOnHost, StoppedAndResumedIsBitwiseTheUninterruptedRun) {
  run_on_device(1, "whole", on_device());
  for (const auto& [tier, stop] : {std::pair("host", "1"), {"memory", "2"}, {"host", "3"}})
    run_on_device(1, "parts", with(tier, {{"train.stop_at_step", stop}}));
  run_on_device(1, "parts", on_host({{"table.cache", kAll}}));
  EXPECT_EQ(losses("parts"), losses("whole"));
  EXPECT_EQ(state("parts", kSteps), state("whole", kSteps));

  const Settings stop = {{"train.stop_at_step", "2"}};
  run_on_device(2, "memory", on_device(stop));
  run(1, "memory", with("memory"));
  run_on_device(2, "file", on_host(stop));
  run(1, "file", with("file"));
  EXPECT_EQ(state("file", kSteps), state("memory", kSteps));
  run(1, "memory-there", with("memory", stop));
  run_on_device(2, "memory-there", on_device());
  run(1, "file-there", with("file", stop));
  run_on_device(2, "file-there", on_host());
  EXPECT_EQ(state("file-there", kSteps), state("memory-there", kSteps));
}

TEST_F(TrainOnDeviceTableOnHost, IsUsedOnADeviceOrOnACpu) {
  run_on_device(1, "used", on_host());
  const Dataset dataset = Dataset::open(data_);
  const auto answer = [&](Device device, int ranks, const Settings& how, bool there) {
    std::vector<std::int32_t> rank_Q;
    with_ranks(ranks, [&](Communicator& comm) {
      Context ctx(device, 1);
      const auto staged = device == Device::cuda ? make_staged_communicator(comm, ctx) : nullptr;
      const Communicators among = staged ? Communicators(comm, *staged) : Communicators(comm);
      const auto loaded = load_model(ctx, among, temp_.path() + "/used", "", dataset, how,
                                     [](const std::string&) {});
      for (const Parameter& p : loaded->parameters.parameters())
        EXPECT_EQ(p.on_host(), there && p.access == Access::rows) << p.name;
      const Protocol protocol(dataset, protocol_options_from(loaded->options));
      const auto found =
          evaluate(ctx, comm, *loaded->model, protocol,
                   evaluate_options_from(loaded->options, Split::test), loaded->exchange.get());
      if (comm.rank() == 0) rank_Q = found.rank_Q;
    });
    return rank_Q;
  };
  const auto memory = answer(Device::cuda, 1, {{"table.tier", "memory"}}, false);
  EXPECT_EQ(answer(Device::cuda, 1, {}, true), memory);
  EXPECT_EQ(answer(Device::cuda, 2, {}, true), memory);
  EXPECT_EQ(answer(Device::cuda, 2, {{"table.split", "yes"}, {"table.group", "all"}}, true),
            memory);
  EXPECT_EQ(answer(Device::cpu, 1, {}, false),
            answer(Device::cpu, 1, {{"table.tier", "memory"}}, false));
}

TEST_F(TrainOnDeviceTableOnHost, IsPlannedApartFromTheDevicesMemory) {
  const Dataset dataset = Dataset::open(data_);
  for (const char* rule : {"rowwise_adagrad", "lazy_adam"}) {
    const Settings settings = on_host({{"table.optimiser", rule}});
    const MemoryPlan plan =
        plan_memory(dataset, options("planned", settings), {1, 1, Device::cuda});
    const std::int64_t tables = std::string(rule) == "lazy_adam" ? 3 : 1;
    EXPECT_EQ(plan.file_bytes, 0);
    EXPECT_GE(plan.table_bytes + plan.cache_bytes, tables * 60 * 16 * 4);
    EXPECT_NEAR(static_cast<double>(plan.cache_bytes), 0.002 * (1 << 20), 1);

    const TrainResult taken = run_on_device(1, std::string("taken-") + rule, settings);
    EXPECT_EQ(plan.checkpoint_bytes, taken.checkpoint_bytes);
    EXPECT_LT(plan.checkpoint_bytes, plan.peak_bytes[static_cast<int>(Tag::parameter)] * 4);
    std::int64_t sum = 0;
    for (const std::int64_t bytes : taken.peak_bytes) sum += bytes;
    EXPECT_NEAR(static_cast<double>(plan.total() - plan.cache_bytes) / static_cast<double>(sum), 1,
                0.1);
    for (const Tag tag : {Tag::parameter, Tag::gradient, Tag::optimiser})
      EXPECT_EQ(plan.peak_bytes[static_cast<int>(tag)], taken.peak_bytes[static_cast<int>(tag)])
          << tag_name(tag);

    const auto comm = make_null_communicator();
    Context ctx(Device::cuda, 1);
    TrainingParts parts(ctx, *comm, dataset, options("parts", settings));
    EXPECT_EQ(parts.table_memory->bytes(), plan.table_bytes + plan.cache_bytes);
    EXPECT_EQ(parts.table_memory->bytes_on_device(), plan.cache_bytes);
    std::int64_t read = 0;  // of the pieces: what a save holds no copy of
    for (const TensorPiece& piece : parts.optimiser->pieces())
      if (piece.read) read += 4 * piece.total;
    EXPECT_EQ(read, tables * 60 * 16 * 4);
  }
}

TEST_F(TrainOnDeviceTableOnHost, SteadyStateWaitsForNothingAndAllocatesNothing) {
  const auto comm = make_null_communicator();
  Context ctx(Device::cuda, 1);
  const auto device_comm = make_nccl_communicator(*comm, ctx.ordinal());
  const Dataset dataset = Dataset::open(data_);
  TrainingParts parts(ctx, {*comm, *device_comm}, dataset,
                      options("steady", on_host({{"train.log_every", "1000"}})));
  const Batch batch = parts.loader.next();
  const auto steps = [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t s = from; s < to; ++s)
      parts.step->run(batch, s, 1e-3f, TrainStep::Wish::go_on, &batch);
    ctx.compute().synchronize();
  };
  steps(0, 4);
  steps(4, 16);
  const std::int64_t tables = parts.table_memory->arena.device_allocations(),
                     blocks = ctx.arena().device_allocations(), waits = device_waits();
  steps(16, 20);
  EXPECT_EQ(device_waits(), waits + 1);  // the one above
  EXPECT_EQ(parts.table_memory->arena.device_allocations(), tables);
#ifndef SEQRANK_ARENA_PASSES_THROUGH
  EXPECT_EQ(ctx.arena().device_allocations(), blocks);
#else
  (void)blocks;
#endif
}

TEST_F(TrainOnDeviceTableOnHost, WhatItCannotDoIsRefused) {
  using testing::HasSubstr;
  const auto message = [&](Device device, int ranks, const Settings& settings) -> std::string {
    try {
      device == Device::cpu ? run(ranks, "refused", settings)
                            : run_on_device(ranks, "refused", settings);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message(Device::cpu, 1, on_host()),
              testing::AllOf(HasSubstr("--table.tier=memory"), HasSubstr("or file")));
  EXPECT_THAT(message(Device::cuda, 1, with("file")), HasSubstr("--table.tier=memory, or host"));
  EXPECT_THAT(message(Device::cuda, 1, on_host({{"table.optimiser", "adamw"}})),
              HasSubstr("--table.tier=host: AdamW reads and writes all rows"));
  EXPECT_THAT(message(Device::cuda, 1, on_host({{"train.init_from", "elsewhere"}})),
              HasSubstr("--table.tier=host: --train.init_from"));
  EXPECT_THAT(message(Device::cuda, 2, on_host({{"table.split", "no"}})),
              HasSubstr("--table.split=yes"));
}

}  // namespace
}  // namespace seqrank
