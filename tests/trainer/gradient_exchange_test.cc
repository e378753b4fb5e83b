// Buckets of the flat gradient block: sums over ranks, the order of leaving, unused parameters; and
// the optimiser that is sharded along them against one rank.
#include "trainer/gradient_exchange.h"

#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "backend/ops/activation.h"
#include "collective/thread.h"
#include "tests/support/tensor_values.h"
#include "trainer/sharded_adamw.h"

namespace seqrank {
namespace {

// Two buckets under a limit of 512 bytes, in the order of leaving: {large, c}, {a, b}; each of
// these takes 256 bytes.
constexpr ExchangeOptions kOptions = {512, Overlap::yes};

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
    const GradientExchange exchange(ctx, store, comm, kOptions);
    ASSERT_EQ(exchange.buckets().size(), 2u);
    const std::int64_t begins[] = {128, 0}, ends[] = {256, 128};
    for (int i = 0; i < 2; ++i) {
      const auto& bucket = exchange.buckets()[i];
      EXPECT_EQ(bucket.begin, begins[i]);
      EXPECT_EQ(bucket.end, ends[i]);
      const auto piece = Communicator::piece_range(bucket.end - bucket.begin, comm.rank(), 2);
      EXPECT_EQ(bucket.own.begin, bucket.begin + piece.begin);
      EXPECT_EQ(bucket.own.end, bucket.begin + piece.end);
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
    GradientExchange exchange(ctx, store, comm, kOptions);
    for (int step = 0; step < 2; ++step) {
      exchange.begin();
      for (float g : store.gradients().span<float>()) ASSERT_EQ(g, 0.0f);
      set_gradients(store, comm.rank(), step);
      for (const Parameter& p : store.parameters())
        if (p.name != "large") exchange.complete(p);
      exchange.finish();
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
  GradientExchange exchange(ctx, store, *comm, kOptions);
  exchange.begin();
  const auto& p = store.parameters();
  EXPECT_EQ(exchange.sent(), 0u);
  exchange.complete(p[0]);
  exchange.complete(p[1]);  // its bucket is whole, but not the last
  EXPECT_EQ(exchange.sent(), 0u);
  exchange.complete(p[3]);  // half of its bucket
  EXPECT_EQ(exchange.sent(), 0u);
  exchange.complete(p[2]);
  EXPECT_EQ(exchange.sent(), 2u);
  exchange.finish();
}

// A table that is read by rows stands alone whatever its size, and leaves when the softmax is done
// with it, before anything else; one that is read by rows alone never leaves.
TEST(GradientExchange, ATiedTableLeavesFirstAndAnInputTableNotAtAll) {
  with_ranks(3, [](Communicator& comm) {
    Context ctx(Device::cpu, 1);
    ParameterStore store;
    const Initialiser uniform{Initialiser::Kind::uniform, 1};
    Parameter& input = store.declare("input", {4, 2}, uniform, Decay::yes, Access::rows);
    Parameter& between = store.declare("between", {3}, uniform);
    Parameter& tied = store.declare("tied", {4, 2}, uniform, Decay::yes, Access::rows_and_whole);
    store.allocate(ctx, 1, 3);
    GradientExchange exchange(ctx, store, comm, kOptions);
    ASSERT_EQ(exchange.buckets().size(), 3u);
    for (int i : {0, 2}) {  // whole rows a rank
      const auto& own = exchange.buckets()[i].own;
      EXPECT_EQ((own.begin - exchange.buckets()[i].begin) % 2, 0);
      EXPECT_EQ((own.end - own.begin) % 2, 0);
    }

    Tensor id_U = ctx.empty(DType::i32, {1});
    *id_U.data<std::int32_t>() = 1;
    exchange.begin(id_U);
    const TapeHooks hooks = exchange.hooks();
    std::vector<FetchedRows> fetched;
    for (Parameter* table : {&input, &tied}) fetched.push_back(hooks.fetch_rows(*table, id_U));
    set_gradients(store, comm.rank());
    fill(ctx, input.gradient, 0);
    exchange.complete(between);
    EXPECT_EQ(exchange.sent(), 0u);
    exchange.complete(tied);
    EXPECT_EQ(exchange.sent(), 3u);  // the input's bucket with nothing to send
    Tensor drow_UD = ctx.empty(DType::f32, {1, 2});
    fill(ctx, drow_UD, 1000);
    for (const FetchedRows& rows : fetched) rows.give_back(drow_UD);
    exchange.finish();

    for (const Parameter* p : {&input, &between, &tied}) {
      const auto& own = exchange.buckets()[2 - p->index].own;
      for (std::int64_t i = own.begin; i < std::min(own.end, p->offset + p->shape.numel()); ++i) {
        const bool looked_up = p != &between && (i - p->offset) / 2 == 1;
        const double dense = p == &input ? 0 : static_cast<double>(i * 7 % 11) * (1 + 2 + 3);
        EXPECT_EQ(store.gradients().span<float>()[i], dense + (looked_up ? 3000 : 0)) << i;
      }
    }
  });
}

// As an optimiser would: every rank its own pieces. Element i of the flat block becomes base + i.
void update_own(ParameterStore& store, const GradientExchange& exchange, float base) {
  for (const auto& bucket : exchange.buckets())
    for (std::int64_t i = bucket.own.begin; i < bucket.own.end; ++i)
      store.values().span<float>()[i] = base + static_cast<float>(i);
}

std::vector<float> counted(float base, std::int64_t from, std::int64_t n) {
  std::vector<float> values(n);
  for (std::int64_t i = 0; i < n; ++i) values[i] = base + static_cast<float>(from + i);
  return values;
}

std::vector<float> values_of(const Tensor& x) {
  return {x.span<float>().begin(), x.span<float>().end()};
}

TEST(GradientExchange, UpdatedValuesReachEveryRankBeforeTheyAreReadRowsFirst) {
  with_ranks(3, [](Communicator& comm) {
    Context ctx(Device::cpu, 1);
    ParameterStore store;
    Parameter& input = store.declare("input", {5, 2}, {}, Decay::yes, Access::rows);
    Parameter& first = store.declare("first", {11}, {});
    Parameter& second = store.declare("second", {200}, {});
    store.allocate(ctx, 1, 3);
    GradientExchange exchange(ctx, store, comm, kOptions);
    std::vector<CallTiming> calls;
    Tensor id_U = ctx.empty(DType::i32, {2});
    set_values(id_U, {0, 4});
    for (const float base : {100.0f, 1000.0f}) {
      update_own(store, exchange, base);
      exchange.values_updated();
      calls.clear();
      comm.stream().synchronize();
      comm.set_log(&calls);
      exchange.begin(id_U, id_U);
      const FetchedRows rows = exchange.hooks().fetch_rows(input, id_U);
      EXPECT_EQ(values_of(rows.row_UD.rows(0, 1)), counted(base, input.offset, 2));
      EXPECT_EQ(values_of(rows.row_UD.rows(1, 2)), counted(base, input.offset + 8, 2));
      EXPECT_EQ(values_of(second.value()), counted(base, second.offset, 200));
      EXPECT_EQ(values_of(first.value()), counted(base, first.offset, 11));
      exchange.finish();
      comm.stream().synchronize();
      comm.set_log(nullptr);
      std::vector<std::string> made;
      for (const CallTiming& call : calls)
        if (call.operation != "reduce_scatter")
          made.push_back(call.operation == "all_gather" ? std::to_string(call.bytes)
                                                        : call.operation);
      // Rows that are read, the values, and the ids of the next step's rows; in the first step its
      // own as well.
      std::vector<std::string> expected = {"all_to_all_v", "768", "1536", "all_to_all_counted"};
      if (base == 100) expected.insert(expected.begin(), "all_to_all_counted");
      EXPECT_EQ(made, expected);
    }
    update_own(store, exchange, 5);
    exchange.values_updated();
    exchange.settle();
    for (const Parameter& p : store.parameters())
      EXPECT_EQ(values_of(p.value()), counted(5, p.offset, p.shape.numel())) << p.name;
  });
}

TEST(GradientExchangeDeath, ReadingBetweenStepsWhatIsNotThereAborts) {
  Context ctx(Device::cpu, 1);
  const auto comm = make_null_communicator();
  ParameterStore store;
  Parameter& input = store.declare("input", {5, 2}, {}, Decay::yes, Access::rows);
  Parameter& p = store.declare("p", {11}, {});
  store.allocate(ctx, 1);
  GradientExchange exchange(ctx, store, *comm, kOptions);
  p.value();  // nobody has updated anything
  exchange.values_updated();
  EXPECT_DEATH(p.value(), "p: read between steps without settle");
  exchange.begin();
  p.value();
  EXPECT_DEATH(input.value(), "input: read whole, declared to be read by rows");
  exchange.finish();
  exchange.values_updated();
  exchange.settle();
  input.value();
}

// Values after three updates on `ranks` ranks; gradients add up to the same on any number.
std::vector<float> updated(int ranks) {
  std::vector<float> result;
  with_ranks(ranks, [&](Communicator& comm) {
    Context ctx(Device::cpu, 1);
    ParameterStore store;
    declare(store);
    store.allocate(ctx, 1);
    GradientExchange exchange(ctx, store, comm, kOptions);
    ShardedAdamW optimiser(ctx, store, exchange, AdamW{}, 0.1f);
    Tensor scale_1 = ctx.empty(DType::f32, {1});
    fill(ctx, scale_1, 1);
    for (int step = 0; step < 3; ++step) {
      exchange.begin();
      if (comm.rank() == 0) set_gradients(store, 0, step);
      exchange.finish();
      optimiser.update(ctx, scale_1, 0.01f, step + 1);
      exchange.values_updated();
    }
    exchange.settle();
    ctx.compute().synchronize();
    const auto values = store.values().span<float>();
    if (comm.rank() == ranks - 1) result.assign(values.begin(), values.end());
  });
  return result;
}

TEST(ShardedAdamW, UpdatesOnAnyNumberOfRanksAsOnOne) {
  const std::vector<float> one = updated(1);
  ASSERT_EQ(one.size(), 256u);
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
    const GradientExchange exchange(ctx, store, comm, kOptions);
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
