// Rows between those who look them up and those who own them, against one table that all could
// see: sizes that do not divide, owners without rows, ranks without look-ups, the order of sums.
#include "trainer/row_exchange.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "collective/thread.h"
#include "tests/support/tensor_values.h"

namespace seqrank {
namespace {

constexpr std::int64_t kWidth = 3;

// Distinct and rising, different on every rank; none on the last of several.
std::vector<std::int32_t> ids_of(int rank, int ranks, std::int64_t rows, std::int64_t step) {
  std::set<std::int32_t> ids;
  if (ranks > 1 && rank == ranks - 1) return {};
  for (std::int64_t i = 0; i < rows; ++i)
    if ((i * 7 + rank * 3 + step) % 5 < 3) ids.insert(static_cast<std::int32_t>(i));
  return {ids.begin(), ids.end()};
}

Tensor tensor_of(Context& ctx, const std::vector<std::int32_t>& values) {
  Tensor tensor = ctx.empty(DType::i32, {static_cast<std::int64_t>(values.size())});
  std::ranges::copy(values, tensor.data<std::int32_t>());
  return tensor;
}

// One rank's part of a world: a table of which only its own rows are to be trusted.
struct Rank {
  // group: ranks that the table is split over.
  Rank(Communicator& communicator, std::int64_t rows, int group = 1)
      : comm(communicator),
        groups(communicator, std::to_string(group)),
        owners(groups, rows, communicator.rank(), communicator.size()),
        table(store.declare("table", {rows, kWidth}, {Initialiser::Kind::uniform, 1}, Decay::yes,
                            Access::rows)),
        exchange(ctx, communicator, rows, Overlap::yes, groups) {
    table.may_split = true;
    store.allocate(ctx, 1, comm.size(), groups.split());
    for (std::int64_t i = 0; i < rows * kWidth; ++i) truth.push_back(static_cast<double>(i));
    for (std::int64_t row = 0; row < table.value().dim(0); ++row)
      for (std::int64_t d = 0; d < kWidth; ++d) {
        const std::int64_t id = groups.split().row_of_table(row);
        table.value().data<float>()[row * kWidth + d] =
            owned(id) ? static_cast<float>(id * kWidth + d)
                      : std::numeric_limits<float>::quiet_NaN();
      }
  }

  bool owned(std::int64_t id) const { return owners.seat_of(id).owner == comm.rank(); }

  // As the exchange of gradients does it at the end of backward.
  void finish() {
    ctx.compute().wait(comm.stream().record());
    exchange.add_given_back();
  }

  Communicator& comm;
  TableGroups groups;
  RowOwners owners;
  Context ctx{Device::cpu, 1};
  ParameterStore store;
  Parameter& table;
  std::vector<double> truth;  // values, all of them
  RowExchange exchange;
};

struct World {
  int ranks;
  std::int64_t rows;
  int group = 1;
};
class RowExchangeOn : public testing::TestWithParam<World> {};

// Three steps of two look-ups each; in the last, nobody knows what comes.
TEST_P(RowExchangeOn, ValuesAreTheOwnersAndGradientsAddUpThere) {
  const auto [ranks, rows, group] = GetParam();
  with_ranks(ranks, [&, rows = rows, group = group](Communicator& comm) {
    Rank rank(comm, rows, group);
    const auto amount = [&](int of, std::int64_t look_up, std::int64_t row) {
      return static_cast<double>((of + 1) * 100 + look_up * 10 + row % 7);
    };
    std::vector<double> expected(rank.table.gradient.numel(), 0.0);
    std::vector<Tensor> id_U;
    for (std::int64_t step : {0, 1, 2})
      id_U.push_back(tensor_of(rank.ctx, ids_of(comm.rank(), comm.size(), rows, step)));
    id_U.emplace_back();
    for (std::int64_t step : {0, 1, 2}) {
      const auto ids = ids_of(comm.rank(), comm.size(), rows, step);
      rank.exchange.begin(id_U[step], id_U[step + 1]);
      std::vector<FetchedRows> fetched;
      for (std::int64_t look_up : {0, 1}) {
        fetched.push_back(rank.exchange.fetch(rank.table, id_U[step]));
        rank.exchange.tell_next();
        const auto row_UD = get_values(fetched.back().row_UD);
        ASSERT_EQ(row_UD.size(), ids.size() * kWidth);
        for (std::size_t i = 0; i < row_UD.size(); ++i)
          EXPECT_EQ(row_UD[i], rank.truth[ids[i / kWidth] * kWidth + i % kWidth]);
        for (int of = 0; of < comm.size(); ++of)
          for (std::int32_t id : ids_of(of, comm.size(), rows, step))
            if (rank.owned(id))
              for (std::int64_t d = 0; d < kWidth; ++d)
                expected[id / group * kWidth + d] +=
                    amount(of, look_up, id) + static_cast<double>(d);
      }
      for (std::int64_t look_up : {1, 0}) {  // as backward does
        Tensor drow_UD =
            rank.ctx.empty(DType::f32, {static_cast<std::int64_t>(ids.size()), kWidth});
        std::vector<double> values;
        for (std::int32_t id : ids)
          for (std::int64_t d = 0; d < kWidth; ++d)
            values.push_back(amount(comm.rank(), look_up, id) + static_cast<double>(d));
        set_values(drow_UD, values);
        fetched[look_up].give_back(drow_UD);
      }
      rank.finish();
      EXPECT_EQ(get_values(rank.table.gradient), expected);
      rank.finish();  // what was given back is added once
      EXPECT_EQ(get_values(rank.table.gradient), expected);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(RanksAndRows, RowExchangeOn,
                         testing::Values(World{1, 5}, World{2, 4}, World{2, 7}, World{3, 11},
                                         World{4, 101}, World{4, 2}, World{4, 1}, World{4, 5},
                                         World{2, 7, 2}, World{3, 2, 3}, World{4, 101, 2},
                                         World{4, 5, 2}, World{4, 101, 4}, World{6, 25, 3}));

// The calls of the last of some steps, in which the ids of `next` are known to all.
std::vector<std::string> calls_of_last(Communicator& comm, bool told_ahead) {
  Rank rank(comm, 10);
  const Tensor id_U[] = {tensor_of(rank.ctx, {0, 5}), tensor_of(rank.ctx, {1, 4, 9})};
  std::vector<CallTiming> calls;
  for (int step : {0, 1, 2}) {
    comm.stream().synchronize();
    calls.clear();
    comm.set_log(&calls);
    rank.exchange.begin(id_U[step % 2], told_ahead ? id_U[(step + 1) % 2] : Tensor());
    const FetchedRows rows = rank.exchange.fetch(rank.table, id_U[step % 2]);
    rank.exchange.tell_next();
    rows.give_back(rows.row_UD);
    rank.finish();
  }
  comm.stream().synchronize();
  comm.set_log(nullptr);
  std::vector<std::string> names;
  for (const CallTiming& call : calls) names.push_back(call.operation);
  return names;
}

TEST(RowExchange, AStepThatWasToldOfAheadOpensWithTheRows) {
  with_ranks(2, [](Communicator& comm) {
    using Names = std::vector<std::string>;
    EXPECT_EQ(calls_of_last(comm, true),
              (Names{"all_to_all_v", "all_to_all_counted", "all_to_all_v"}));
    EXPECT_EQ(calls_of_last(comm, false),
              (Names{"all_to_all_counted", "all_to_all_v", "all_to_all_v"}));
  });
}

// As after seek(): what was told is forgotten, on all ranks alike.
TEST(RowExchange, OtherIdsThanToldAheadAreToldAnew) {
  with_ranks(3, [](Communicator& comm) {
    Rank rank(comm, 6);
    const Tensor first = tensor_of(rank.ctx, {0, 5}), told = tensor_of(rank.ctx, {1, 2});
    const Tensor other = tensor_of(rank.ctx, {3, 4});
    rank.exchange.begin(first, told);
    rank.exchange.tell_next();
    rank.exchange.begin(other, {});
    const auto row_UD = get_values(rank.exchange.fetch(rank.table, other).row_UD);
    EXPECT_TRUE(std::equal(row_UD.begin(), row_UD.end(), rank.truth.begin() + 3 * kWidth));
  });
}

TEST(RowExchangeDeath, RowsThatTheStepDidNotBeginWith) {
  const auto comm = make_null_communicator();
  Rank rank(*comm, 6);
  const Tensor id_U = tensor_of(rank.ctx, {0, 5});
  EXPECT_DEATH(rank.exchange.fetch(rank.table, id_U), "other rows are looked up");
  rank.exchange.begin(id_U, {});
  EXPECT_DEATH(rank.exchange.fetch(rank.table, tensor_of(rank.ctx, {5})), "other rows");
}

// 1e8 - 1e8 + 1 is 1 in this order and 0 in others.
TEST(RowExchange, AddsInTheOrderOfTheRanks) {
  with_ranks(3, [](Communicator& comm) {
    Rank rank(comm, 4);
    const Tensor id_U = tensor_of(rank.ctx, {2});
    rank.exchange.begin(id_U, {});
    const auto fetched = rank.exchange.fetch(rank.table, id_U);
    const double of_rank[] = {1e8, -1e8, 1};
    Tensor drow_UD = rank.ctx.empty(DType::f32, {1, kWidth});
    set_values(drow_UD, std::vector<double>(kWidth, of_rank[comm.rank()]));
    fetched.give_back(drow_UD);
    rank.finish();
    const auto gradient = get_values(rank.table.gradient);
    const bool owner = rank.owned(2);
    EXPECT_EQ(owner, comm.rank() == 1);
    for (std::int64_t d = 0; d < kWidth; ++d) EXPECT_EQ(gradient[2 * kWidth + d], owner ? 1 : 0);
  });
}

}  // namespace
}  // namespace seqrank
