// Buckets of the flat gradient block: sums over ranks, the order of leaving, unused parameters; and
// the optimiser that is sharded along them against one rank.
#include "trainer/gradient_exchange.h"

#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "backend/ops/activation.h"
#include "collective/thread.h"
#include "trainer/sharded_adamw.h"

namespace seqrank {
namespace {

// Three buckets under a limit of 40 bytes: {a, b}, {large}, {c}.
constexpr ExchangeOptions kOptions = {40, Overlap::yes};

void declare(ParameterStore& store) {
  const Initialiser uniform{Initialiser::Kind::uniform, 1};
  store.declare("a", {7}, uniform);
  store.declare("b", {1, 3}, uniform, Decay::no);
  store.declare("large", {5, 5}, uniform);
  store.declare("c", {2}, uniform);
}

// Whole numbers, so that sums are exact in any order.
void set_gradients(ParameterStore& store, int rank, int step = 0) {
  const auto g = store.gradients().span<float>();
  for (std::size_t i = 0; i < g.size(); ++i)
    g[i] = static_cast<float>((i * 7 + step) % 11) * static_cast<float>(rank + 1);
}

TEST(GradientExchange, CutsBucketsBySizeAndEveryRankOwnsItsPiece) {
  with_ranks(2, [](Communicator& comm) {
    Context ctx(Device::cpu, 1);
    ParameterStore store;
    declare(store);
    store.allocate(ctx, 1);
    const GradientExchange exchange(store, comm, kOptions);
    ASSERT_EQ(exchange.buckets().size(), 3u);
    const std::int64_t ends[] = {10, 35, 37};
    std::int64_t begin = 0;
    for (int i = 0; i < 3; ++i) {
      const auto& bucket = exchange.buckets()[i];
      EXPECT_EQ(bucket.begin, begin);
      EXPECT_EQ(bucket.end, ends[i]);
      const auto piece = Communicator::piece_range(bucket.end - begin, comm.rank(), 2);
      EXPECT_EQ(bucket.own.begin, begin + piece.begin);
      EXPECT_EQ(bucket.own.end, begin + piece.end);
      begin = bucket.end;
    }
  });
}

// Completed front to back, so nothing may leave before the last bucket does; "large" is not used.
TEST(GradientExchange, SumsOverRanksInAnyOrderOfCompletionAndWithAnUnusedParameter) {
  with_ranks(2, [](Communicator& comm) {
    Context ctx(Device::cpu, 1);
    ParameterStore store;
    declare(store);
    store.allocate(ctx, 1);
    GradientExchange exchange(store, comm, kOptions);
    for (int step = 0; step < 2; ++step) {
      exchange.begin(ctx);
      for (float g : store.gradients().span<float>()) ASSERT_EQ(g, 0.0f);
      set_gradients(store, comm.rank(), step);
      for (const Parameter& p : store.parameters())
        if (p.name != "large") exchange.complete(ctx, p);
      exchange.finish(ctx);
      ctx.compute().synchronize();
      const auto g = store.gradients().span<float>();
      for (const auto& bucket : exchange.buckets())
        for (std::int64_t i = bucket.own.begin; i < bucket.own.end; ++i)
          EXPECT_EQ(g[i], static_cast<float>((i * 7 + step) % 11) * 3) << i;
    }
  });
}

TEST(GradientExchange, LeavesLastBucketFirstAndOnlyWhenWhole) {
  Context ctx(Device::cpu, 1);
  const auto comm = make_null_communicator();
  ParameterStore store;
  declare(store);
  store.allocate(ctx, 1);
  GradientExchange exchange(store, *comm, kOptions);
  exchange.begin(ctx);
  const auto& p = store.parameters();
  EXPECT_EQ(exchange.sent(), 0);
  exchange.complete(ctx, p[2]);  // before the last bucket: waits for it
  EXPECT_EQ(exchange.sent(), 0);
  exchange.complete(ctx, p[3]);
  EXPECT_EQ(exchange.sent(), 2);
  exchange.complete(ctx, p[1]);  // half of its bucket
  EXPECT_EQ(exchange.sent(), 2);
  exchange.complete(ctx, p[0]);
  EXPECT_EQ(exchange.sent(), 3);
  exchange.finish(ctx);
}

// Values after three updates on `ranks` ranks; gradients add up to the same on any number.
std::vector<float> updated(int ranks) {
  std::vector<float> result;
  with_ranks(ranks, [&](Communicator& comm) {
    Context ctx(Device::cpu, 1);
    ParameterStore store;
    declare(store);
    store.allocate(ctx, 1);
    GradientExchange exchange(store, comm, kOptions);
    ShardedAdamW optimiser(ctx, store, exchange, AdamW{}, 0.1f);
    Tensor scale_1 = ctx.empty(DType::f32, {1});
    fill(ctx, scale_1, 1);
    for (int step = 0; step < 3; ++step) {
      exchange.begin(ctx);
      if (comm.rank() == 0) set_gradients(store, 0, step);
      exchange.finish(ctx);
      optimiser.update(ctx, scale_1, 0.01f, step + 1);
      exchange.gather_values(ctx);
    }
    ctx.compute().synchronize();
    const auto values = store.values().span<float>();
    if (comm.rank() == ranks - 1) result.assign(values.begin(), values.end());
  });
  return result;
}

TEST(ShardedAdamW, UpdatesOnAnyNumberOfRanksAsOnOne) {
  const std::vector<float> one = updated(1);
  ASSERT_EQ(one.size(), 37u);
  for (int ranks : {2, 3, 5}) EXPECT_EQ(updated(ranks), one) << ranks;
}

TEST(ShardedAdamW, PiecesOfAllRanksCoverEveryTensorOnce) {
  std::map<std::string, std::int64_t> elements;
  std::mutex mutex;
  with_ranks(3, [&](Communicator& comm) {
    Context ctx(Device::cpu, 1);
    ParameterStore store;
    declare(store);
    store.allocate(ctx, 1);
    const GradientExchange exchange(store, comm, kOptions);
    ShardedAdamW optimiser(ctx, store, exchange, AdamW{}, 0);
    const std::scoped_lock lock(mutex);
    for (const TensorPiece& piece : optimiser.pieces())
      elements[piece.name] += piece.end - piece.begin;
  });
  EXPECT_EQ(elements.size(), 12u);
  EXPECT_EQ(elements["large/m"], 25);
  EXPECT_EQ(elements["a/weight"], 7);
  EXPECT_EQ(elements["c/v"], 2);
}

}  // namespace
}  // namespace seqrank
