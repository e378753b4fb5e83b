// Ranking where no rank holds all items: the ranks that hold a table together answer their
// questions together, round by round. Each makes the states of its own, all gather them, and each
// meets all of them with the rows it holds, tile by tile: once for the targets' scores, once to
// count what is not below them. So no scores of all items exist, and a rank's part of a count is a
// whole number.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "backend/ops/activation.h"
#include "backend/ops/embedding.h"
#include "backend/ops/top_k.h"
#include "backend/transfer.h"
#include "models/nn/item_table.h"
#include "trainer/evaluate_kinds.h"
#include "trainer/gradient_exchange.h"

namespace seqrank {
namespace {

constexpr std::int64_t kStates = 256;  // that meet a tile at once, of all ranks

// One state: what it is asked, and what is found among the rows that are here.
struct Asked {
  std::int64_t question = -1;
  std::int32_t target = -1;
  std::vector<std::int32_t> seen_rows;  // rising, of those here; without the target
  float target_score = 0;
  std::int32_t not_below = 0, same = 0;  // the target itself too
  std::vector<ScoredItem> best;
};

class Round {
 public:
  Round(Context& ctx, const ItemTable& items, const TableRanks& ranks, std::int64_t a_rank)
      : asked(ranks.count() * a_rank), ctx_(ctx), items_(items), ranks_(ranks) {}

  // Of the questions of one rank of the group: those from `place` on.
  void ask(const EvaluationBatch& part, std::int64_t first_question, std::int64_t first,
           Seen seen) {
    const auto target_B = part.target_B.span<std::int32_t>();
    const auto offset_B1 = part.seen_offset_B1.span<std::int32_t>();
    const auto seen_M = part.seen_M.span<std::int32_t>();
    const RowSplit split = items_.split();
    for (std::size_t b = 0; b < target_B.size(); ++b) {
      Asked& one = asked[first + static_cast<std::int64_t>(b)];
      one.question = first_question + static_cast<std::int64_t>(b);
      one.target = target_B[b];
      if (seen == Seen::kept) continue;
      for (std::int32_t m = offset_B1[b]; m < offset_B1[b + 1]; ++m)
        if (seen_M[m] != one.target && seen_M[m] % split.ranks == split.place)
          one.seen_rows.push_back(seen_M[m] / split.ranks);
      std::ranges::sort(one.seen_rows);
    }
  }

  // state_ND: of all.
  void answer(const Tensor& state_ND, std::int64_t best) {
    each_tile(state_ND,
              [&](std::int64_t begin, const Tensor& score) { read_target_scores(begin, score); });
    tell_target_scores();
    Tensor target_N1(ctx_.host_arena(), DType::f32, {count(), 1}, Tag::workspace);
    for (std::int64_t n = 0; n < count(); ++n) target_N1.data<float>()[n] = asked[n].target_score;
    const Tensor on_device_N1 = to_device(ctx_, target_N1);
    each_tile(state_ND, [&](std::int64_t begin, const Tensor& score) {
      count_against(on_device_N1, score);
      if (best > 0) keep_best(begin, score, best);
    });
    if (best > 0) gather_best(best);
  }

  std::vector<Asked> asked;  // of the group: so many of each rank, by place

  bool owns_target(const Asked& one) const {
    return one.target % items_.split().ranks == items_.split().place;
  }

 private:
  std::int64_t count() const { return static_cast<std::int64_t>(asked.size()); }

  template <class Visit>
  void each_tile(const Tensor& state_ND, Visit&& visit) {
    const std::int64_t step = std::max<std::int64_t>(kScoreElements / count(), 1);
    for (std::int64_t begin = 0; begin < items_.rows_here(); begin += step) {
      const std::int64_t end = std::min(begin + step, items_.rows_here());
      Tensor score_NT = ctx_.empty(DType::f32, {count(), end - begin});
      items_.score_rows(ctx_, score_NT, state_ND, begin, end);
      mask_seen(score_NT, begin, end);
      visit(begin, score_NT);
    }
  }

  void mask_seen(Tensor& score_NT, std::int64_t begin, std::int64_t end) {
    std::vector<std::int32_t> columns;
    Tensor offset_N1(ctx_.host_arena(), DType::i32, {count() + 1}, Tag::workspace);
    for (std::int64_t n = 0; n < count(); ++n) {
      offset_N1.data<std::int32_t>()[n] = static_cast<std::int32_t>(columns.size());
      const auto& rows = asked[n].seen_rows;
      for (auto row = std::ranges::lower_bound(rows, begin); row != rows.end() && *row < end; ++row)
        columns.push_back(static_cast<std::int32_t>(*row - begin));
    }
    offset_N1.data<std::int32_t>()[count()] = static_cast<std::int32_t>(columns.size());
    if (columns.empty()) return;
    mask_items(ctx_, score_NT, on_device(columns), to_device(ctx_, offset_N1), Tensor());
  }

  Tensor on_device(const std::vector<std::int32_t>& values) {
    Tensor host(ctx_.host_arena(), DType::i32, {static_cast<std::int64_t>(values.size())},
                Tag::workspace);
    std::ranges::copy(values, host.data<std::int32_t>());
    return to_device(ctx_, host);
  }

  void read_target_scores(std::int64_t begin, const Tensor& score_NT) {
    const std::int64_t columns = score_NT.dim(1);
    std::vector<std::int32_t> element;
    std::vector<std::int64_t> of;
    for (std::int64_t n = 0; n < count(); ++n) {
      if (asked[n].question < 0 || !owns_target(asked[n])) continue;
      const std::int64_t column = asked[n].target / items_.split().ranks - begin;
      if (column < 0 || column >= columns) continue;
      element.push_back(static_cast<std::int32_t>(n * columns + column));
      of.push_back(n);
    }
    if (of.empty()) return;
    Tensor found_M1 = ctx_.empty(DType::f32, {static_cast<std::int64_t>(of.size()), 1});
    gather_rows(ctx_, found_M1, score_NT.reshape({score_NT.numel(), 1}), on_device(element));
    const Tensor host = to_host(ctx_, found_M1);
    for (std::size_t i = 0; i < of.size(); ++i) asked[of[i]].target_score = host.data<float>()[i];
  }

  // What each rank of the group has of x_N, [ranks, N], in host memory.
  Tensor gathered(const Tensor& host_N) {
    const std::int64_t n = host_N.numel(), place = ranks_.place;
    Tensor all_RN = ctx_.empty(host_N.dtype(), {ranks_.count() * n});
    Tensor own = all_RN.flat_range(place * n, (place + 1) * n);
    copy(ctx_, own, to_device(ctx_, host_N));
    ranks_.all_gather(all_RN);
    return to_host(ctx_, all_RN);
  }

  void tell_target_scores() {
    Tensor own_N(ctx_.host_arena(), DType::f32, {count()}, Tag::workspace);
    for (std::int64_t n = 0; n < count(); ++n) own_N.data<float>()[n] = asked[n].target_score;
    const Tensor all_RN = gathered(own_N);
    for (std::int64_t n = 0; n < count(); ++n)
      if (asked[n].question >= 0)
        asked[n].target_score =
            all_RN.data<float>()[asked[n].target % items_.split().ranks * count() + n];
  }

  // The target's score stands as one more column beside the tile's.
  void count_against(const Tensor& target_N1, const Tensor& score_NT) {
    const std::int64_t columns = score_NT.dim(1);
    Tensor beside = ctx_.empty(DType::f32, {count(), columns + 1});
    copy_into_columns(ctx_, beside, 0, score_NT);
    copy_into_columns(ctx_, beside, columns, target_N1);
    Tensor rank_N = ctx_.empty(DType::i32, {count()}), tied_N = ctx_.empty(DType::i32, {count()});
    rank_of(ctx_, rank_N, tied_N, beside,
            on_device(std::vector<std::int32_t>(count(), static_cast<std::int32_t>(columns))));
    const Tensor host_rank_N = to_host(ctx_, rank_N), host_tied_N = to_host(ctx_, tied_N);
    for (std::int64_t n = 0; n < count(); ++n) {
      asked[n].not_below += host_rank_N.data<std::int32_t>()[n] - 1;
      asked[n].same += host_tied_N.data<std::int32_t>()[n];
    }
  }

  void keep_best(std::int64_t begin, const Tensor& score_NT, std::int64_t best) {
    Tensor value_NK = ctx_.empty(DType::f32, {count(), best});
    Tensor column_NK = ctx_.empty(DType::i32, {count(), best});
    top_k(ctx_, value_NK, column_NK, score_NT);
    const Tensor value = to_host(ctx_, value_NK), column = to_host(ctx_, column_NK);
    for (std::int64_t i = 0; i < count() * best; ++i) {
      const std::int32_t found = column.data<std::int32_t>()[i];
      if (found < 0) continue;
      const std::int64_t item = items_.split().row_of_table(begin + found);
      asked[i / best].best.push_back({value.data<float>()[i], static_cast<std::int32_t>(item)});
    }
    for (Asked& one : asked) cut(one.best, best);
  }
  static void cut(std::vector<ScoredItem>& list, std::int64_t best) {
    std::ranges::sort(list, better);
    if (static_cast<std::int64_t>(list.size()) > best) list.resize(best);
  }

  void gather_best(std::int64_t best) {
    Tensor value_NK(ctx_.host_arena(), DType::f32, {count() * best}, Tag::workspace);
    Tensor item_NK(ctx_.host_arena(), DType::i32, {count() * best}, Tag::workspace);
    std::ranges::fill(item_NK.span<std::int32_t>(), -1);
    std::ranges::fill(value_NK.span<float>(), -std::numeric_limits<float>::infinity());
    for (std::int64_t n = 0; n < count(); ++n)
      for (std::size_t k = 0; k < asked[n].best.size(); ++k) {
        value_NK.data<float>()[n * best + k] = asked[n].best[k].score;
        item_NK.data<std::int32_t>()[n * best + k] = asked[n].best[k].item;
      }
    const Tensor value = gathered(value_NK), item = gathered(item_NK);
    for (Asked& one : asked) one.best.clear();
    for (std::int64_t i = 0; i < value.numel(); ++i)
      if (item.data<std::int32_t>()[i] >= 0)
        asked[i % (count() * best) / best].best.push_back(
            {value.data<float>()[i], item.data<std::int32_t>()[i]});
    for (Asked& one : asked) cut(one.best, best);
  }

  Context& ctx_;
  const ItemTable& items_;
  const TableRanks& ranks_;
};

// Of rank r in a round.
Communicator::Range questions_of(const Communicator& comm, std::int64_t questions, int rank,
                                 std::int64_t done, std::int64_t a_rank) {
  const auto own = Communicator::piece_range(questions, rank, comm.size());
  const std::int64_t begin = std::min(own.begin + done, own.end);
  return {begin, std::min(begin + a_rank, own.end)};
}

// States of this rank's questions, gathered with those of its group.
Tensor gathered_states(Context& ctx, StateRanker& model, const EvaluationBatch& host,
                       GradientExchange& exchange, const TableRanks& ranks, std::int64_t a_rank) {
  EvaluationBatch with_rows = host;
  with_rows.batch.item_rows = unique_rows(ctx.host_arena(), host.batch.item_N.span<std::int32_t>());
  const TapeHooks hooks = exchange.begin_reading(with_rows.batch.item_rows.id_U);
  const Tensor own_BD = model.next_states(ctx, to_device(ctx, with_rows).batch, hooks);
  Tensor all_ND = ctx.empty(DType::f32, {ranks.count() * a_rank, own_BD.dim(1)});
  fill(ctx, all_ND, 0);
  const std::int64_t begin = ranks.place * a_rank;
  Tensor own = all_ND.rows(begin, begin + own_BD.dim(0));
  copy(ctx, own, own_BD);
  ranks.all_gather(all_ND);
  return all_ND;
}

}  // namespace

void answer_together(Context& ctx, Communicator& comm, Model& model, const Questions& questions,
                     const EvaluateOptions& options, const std::function<bool()>& stop,
                     GradientExchange& exchange, Answers& answers) {
  auto& states = dynamic_cast<StateRanker&>(model);
  const TableRanks ranks = exchange.table_ranks();
  const std::int64_t a_rank = std::max<std::int64_t>(kStates / ranks.count(), 1);
  const std::int64_t most = Communicator::piece_range(questions.count(), 0, comm.size()).end;
  for (std::int64_t done = 0; done < most; done += a_rank) {
    if (comm.all_reduce_value(std::int64_t{stop()}, Reduce::max) > 0) {
      answers.gave_up() = 1;
      return;
    }
    Round round(ctx, states.item_table(), ranks, a_rank);
    Tensor state_ND;
    for (int place = 0; place < ranks.count(); ++place) {
      const auto range = questions_of(comm, questions.count(), ranks.ranks[place], done, a_rank);
      const bool own = place == ranks.place;
      const EvaluationBatch part =
          evaluation_batch(questions, ctx.host_arena(), range.begin, range.end,
                           own ? options.max_length : 1, own ? model.needs() : BatchNeeds());
      round.ask(part, range.begin, place * a_rank, options.seen);
      if (own) state_ND = gathered_states(ctx, states, part, exchange, ranks, a_rank);
    }
    round.answer(state_ND, answers.best());
    const std::int64_t first = ranks.place * a_rank;
    for (std::int64_t n = 0; n < static_cast<std::int64_t>(round.asked.size()); ++n) {
      const Asked& one = round.asked[n];
      if (one.question < 0) continue;
      const bool itself = round.owns_target(one) && !std::isnan(one.target_score);
      std::vector<std::int32_t> best;
      if (first <= n && n < first + a_rank) {
        for (const ScoredItem& scored : one.best) best.push_back(scored.item);
        best.resize(answers.best(), -1);
      }
      answers.set(one.question, {one.not_below, one.same - itself, best});
    }
  }
}

}  // namespace seqrank
