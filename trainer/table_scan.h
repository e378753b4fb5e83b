// States against the items of a table, where no rank need hold all items and nobody holds the
// scores of all: the ranks that hold a table together meet the same states with the rows of their
// own, tile by tile, and tell each other what they found. A whole table is met by its rank alone.
// Reads no data set and asks no model for more than states.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/ops/top_k.h"
#include "models/model.h"
#include "models/nn/item_table.h"
#include "trainer/gradient_exchange.h"

namespace seqrank {

// Of one state: what is asked, and what is found among all items.
struct Asked {
  std::int32_t target = -1;          // its rank is wanted; -1: none is
  std::vector<std::int32_t> hidden;  // items that count as not there; without the target
  float target_score = 0;
  std::int32_t rank = 0, tied = 0;  // of the target, as rank_of() says
  std::vector<ScoredItem> best;     // in their order
};

// All of these are collective among the ranks of a group, and leave the same on each of them.
class TableScan {
 public:
  // How many states meet a tile at once, of all ranks of a group.
  static constexpr std::int64_t kStates = 256;

  // exchange: null, or where tables may be split over ranks.
  TableScan(Context& ctx, StateRanker& model, GradientExchange* exchange);
  const TableRanks& ranks() const { return ranks_; }

  // Of this rank's batch, on the host; other ranks may have others. Collective among all ranks.
  Tensor own_states(const Batch& host);
  // The states of all, by place, a_rank of each; zeros where a rank has fewer.
  Tensor gathered(const Tensor& own_BD, std::int64_t a_rank);
  // For look-ups of a batch that all ranks have: what a tape wants, and the batch with its rows.
  TapeHooks reading(Batch& host);

  // state_ND: the same on all, one for each that is asked. best: how many are wanted of each.
  // Only the items `among`, rising, where it is given, and of them the best alone.
  void answer(const Tensor& state_ND, std::span<Asked> asked, std::int64_t best,
              const std::vector<std::int32_t>* among = nullptr);
  // Scores [N, K], and vectors [K, D], of any items; host memory.
  Tensor scores(const Tensor& state_ND, std::span<const std::int32_t> items);
  Tensor vectors(std::span<const std::int32_t> items);

 private:
  Context& ctx_;
  StateRanker& model_;
  const ItemTable& items_;
  GradientExchange* exchange_;  // null: whole tables
  TableRanks ranks_;
};

}  // namespace seqrank
