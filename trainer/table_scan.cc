// Tiles are met twice where a target's rank is wanted: once for its score, once to count what is
// not below it, so that no scores of all items exist. A rank's part of a count is a whole number.
#include "trainer/table_scan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/ops/activation.h"
#include "backend/ops/embedding.h"
#include "backend/transfer.h"
#include "trainer/table_parts.h"

namespace seqrank {
namespace {

constexpr std::int64_t kTileElements = 4 << 20;  // of scores: 16 MiB
constexpr std::int64_t kTileRows = 1 << 16;  // at most: rows may be gathered, or made of length one

using Ids = std::vector<std::int32_t>;

// One answer(). Positions number the rows that are met: all that are here, or those of a list.
class Round {
 public:
  Round(Context& ctx, const ItemTable& items, const TableRanks& ranks, const Tensor& state_ND,
        std::span<Asked> asked, const Ids* among)
      : ctx_(ctx),
        items_(items),
        ranks_(ranks),
        split_(items.split()),
        state_ND_(state_ND),
        asked_(asked),
        lists_(among != nullptr) {
    if (lists_) rows_ = rows_here(split_, *among).rows;
    for (const Asked& one : asked) {
      hidden_NP_.emplace_back();
      for (const std::int32_t row : rows_here(split_, one.hidden).rows)
        if (const std::int64_t position = position_of(row); position >= 0)
          hidden_NP_.back().push_back(static_cast<std::int32_t>(position));
      std::ranges::sort(hidden_NP_.back());
    }
  }

  void find_targets() {
    each_tile([&](std::int64_t begin, const Tensor& score) { read_targets(begin, score); });
    Tensor own_N = host_memory(ctx_, DType::f32, {count()});
    for (std::int64_t n = 0; n < count(); ++n) own_N.data<float>()[n] = asked_[n].target_score;
    const Tensor all_RN = of_all_ranks(ctx_, ranks_, own_N);
    for (std::int64_t n = 0; n < count(); ++n)
      if (asked_[n].target >= 0)
        asked_[n].target_score =
            all_RN.data<float>()[asked_[n].target % split_.ranks * count() + n];
  }

  void find(bool targets, std::int64_t best) {
    Tensor target_N1 = host_memory(ctx_, DType::f32, {count(), 1});
    for (std::int64_t n = 0; n < count(); ++n) target_N1.data<float>()[n] = asked_[n].target_score;
    const Tensor on_device_N1 = to_device(ctx_, target_N1);
    each_tile([&](std::int64_t begin, const Tensor& score) {
      if (targets) count_against(on_device_N1, score);
      if (best > 0) keep_best(begin, score, best);
    });
    if (targets) sum_counts();
    if (best > 0) merge_best(best);
  }

 private:
  std::int64_t count() const { return std::ssize(asked_); }
  std::int64_t positions() const { return lists_ ? std::ssize(rows_) : items_.rows_here(); }
  std::int64_t row_at(std::int64_t position) const { return lists_ ? rows_[position] : position; }
  std::int64_t position_of(std::int32_t row) const {
    if (!lists_) return row;
    const auto found = std::ranges::lower_bound(rows_, row);
    return found != rows_.end() && *found == row ? found - rows_.begin() : -1;
  }

  template <class Visit>
  void each_tile(Visit&& visit) {
    const std::int64_t step =
        std::clamp<std::int64_t>(kTileElements / std::max<std::int64_t>(count(), 1), 1, kTileRows);
    for (std::int64_t begin = 0; begin < positions(); begin += step) {
      const std::int64_t end = std::min(begin + step, positions());
      Tensor score_NT = ctx_.empty(DType::f32, {count(), end - begin});
      if (lists_)
        items_.score_items(ctx_, score_NT, state_ND_,
                           on_device(ctx_, Ids(rows_.begin() + begin, rows_.begin() + end)));
      else
        items_.score_rows(ctx_, score_NT, state_ND_, begin, end);
      mask_hidden(score_NT, begin, end);
      visit(begin, score_NT);
    }
  }

  void mask_hidden(Tensor& score_NT, std::int64_t begin, std::int64_t end) {
    Ids columns, offset_N1 = {0};
    for (const Ids& hidden : hidden_NP_) {
      for (auto p = std::ranges::lower_bound(hidden, begin); p != hidden.end() && *p < end; ++p)
        columns.push_back(static_cast<std::int32_t>(*p - begin));
      offset_N1.push_back(static_cast<std::int32_t>(columns.size()));
    }
    if (columns.empty()) return;
    mask_items(ctx_, score_NT, on_device(ctx_, columns), on_device(ctx_, offset_N1), Tensor());
  }

  void read_targets(std::int64_t begin, const Tensor& score_NT) {
    const std::int64_t columns = score_NT.dim(1);
    Ids element;
    std::vector<std::int64_t> of;
    for (std::int64_t n = 0; n < count(); ++n) {
      const std::int32_t target = asked_[n].target;
      if (target < 0 || target % split_.ranks != split_.place) continue;
      const std::int64_t column = target / split_.ranks - begin;
      if (column < 0 || column >= columns) continue;
      element.push_back(static_cast<std::int32_t>(n * columns + column));
      of.push_back(n);
    }
    if (of.empty()) return;
    Tensor found_M1 = ctx_.empty(DType::f32, {std::ssize(of), 1});
    gather_rows(ctx_, found_M1, score_NT.reshape({score_NT.numel(), 1}), on_device(ctx_, element));
    const Tensor host = to_host(ctx_, found_M1);
    for (std::size_t i = 0; i < of.size(); ++i) asked_[of[i]].target_score = host.data<float>()[i];
  }

  // The target's score stands as one more column beside the tile's.
  void count_against(const Tensor& target_N1, const Tensor& score_NT) {
    const std::int64_t columns = score_NT.dim(1);
    Tensor beside = ctx_.empty(DType::f32, {count(), columns + 1});
    copy_into_columns(ctx_, beside, 0, score_NT);
    copy_into_columns(ctx_, beside, columns, target_N1);
    Tensor rank_N = ctx_.empty(DType::i32, {count()}), tied_N = ctx_.empty(DType::i32, {count()});
    rank_of(ctx_, rank_N, tied_N, beside,
            on_device(ctx_, Ids(count(), static_cast<std::int32_t>(columns))));
    const Tensor host_rank_N = to_host(ctx_, rank_N), host_tied_N = to_host(ctx_, tied_N);
    for (std::int64_t n = 0; n < count(); ++n) {
      asked_[n].rank += host_rank_N.data<std::int32_t>()[n] - 1;
      asked_[n].tied += host_tied_N.data<std::int32_t>()[n];
    }
  }

  // Of all ranks. Somewhere the target met itself, and is not below itself.
  void sum_counts() {
    Tensor own_N2 = host_memory(ctx_, DType::i32, {count() * 2});
    for (std::int64_t n = 0; n < count(); ++n) {
      own_N2.data<std::int32_t>()[2 * n] = asked_[n].rank;
      own_N2.data<std::int32_t>()[2 * n + 1] = asked_[n].tied;
      asked_[n].rank = 0;
      asked_[n].tied = std::isnan(asked_[n].target_score) ? 0 : -1;
    }
    const Tensor all = of_all_ranks(ctx_, ranks_, own_N2);
    for (std::int64_t i = 0; i < all.numel(); i += 2) {
      Asked& one = asked_[i / 2 % count()];
      one.rank += all.data<std::int32_t>()[i];
      one.tied += all.data<std::int32_t>()[i + 1];
    }
  }

  void keep_best(std::int64_t begin, const Tensor& score_NT, std::int64_t best) {
    const std::int64_t kept = std::min(best, score_NT.dim(1));
    Tensor value_NK = ctx_.empty(DType::f32, {count(), kept});
    Tensor column_NK = ctx_.empty(DType::i32, {count(), kept});
    top_k(ctx_, value_NK, column_NK, score_NT);
    const Tensor value = to_host(ctx_, value_NK), column = to_host(ctx_, column_NK);
    for (std::int64_t i = 0; i < count() * kept; ++i) {
      const std::int32_t found = column.data<std::int32_t>()[i];
      if (found < 0) continue;
      const std::int64_t item = split_.row_of_table(row_at(begin + found));
      asked_[i / kept].best.push_back({value.data<float>()[i], static_cast<std::int32_t>(item)});
    }
    for (Asked& one : asked_) cut(one.best, best);
  }
  static void cut(std::vector<ScoredItem>& list, std::int64_t best) {
    std::ranges::sort(list, better);
    if (std::ssize(list) > best) list.resize(best);
  }

  void merge_best(std::int64_t best) {
    if (ranks_.count() == 1) return;
    Tensor value_NK = host_memory(ctx_, DType::f32, {count() * best});
    Tensor item_NK = host_memory(ctx_, DType::i32, {count() * best});
    std::ranges::fill(item_NK.span<std::int32_t>(), -1);
    std::ranges::fill(value_NK.span<float>(), -std::numeric_limits<float>::infinity());
    for (std::int64_t n = 0; n < count(); ++n)
      for (std::size_t k = 0; k < asked_[n].best.size(); ++k) {
        value_NK.data<float>()[n * best + k] = asked_[n].best[k].score;
        item_NK.data<std::int32_t>()[n * best + k] = asked_[n].best[k].item;
      }
    const Tensor value = of_all_ranks(ctx_, ranks_, value_NK);
    const Tensor item = of_all_ranks(ctx_, ranks_, item_NK);
    for (Asked& one : asked_) one.best.clear();
    for (std::int64_t i = 0; i < value.numel(); ++i)
      if (item.data<std::int32_t>()[i] >= 0)
        asked_[i % (count() * best) / best].best.push_back(
            {value.data<float>()[i], item.data<std::int32_t>()[i]});
    for (Asked& one : asked_) cut(one.best, best);
  }

  Context& ctx_;
  const ItemTable& items_;
  const TableRanks& ranks_;
  RowSplit split_;
  const Tensor& state_ND_;
  std::span<Asked> asked_;
  bool lists_;
  Ids rows_;                    // with a list: those of it that are here, rising
  std::vector<Ids> hidden_NP_;  // positions, rising
};

}  // namespace

TableScan::TableScan(Context& ctx, StateRanker& model, GradientExchange* exchange)
    : ctx_(ctx),
      model_(model),
      items_(model.item_table()),
      exchange_(exchange != nullptr && exchange->splits_tables() ? exchange : nullptr) {
  if (exchange_ != nullptr) ranks_ = exchange_->table_ranks();
}

TapeHooks TableScan::reading(Batch& host) {
  if (exchange_ == nullptr) return {};
  host.item_rows = unique_rows(ctx_.host_arena(), host.item_N.span<std::int32_t>());
  return exchange_->begin_reading(host.item_rows.id_U);
}

Tensor TableScan::own_states(const Batch& host) {
  Batch with_rows = host;
  const TapeHooks hooks = reading(with_rows);
  return model_.next_states(ctx_, to_device(ctx_, with_rows), hooks);
}

Tensor TableScan::gathered(const Tensor& own_BD, std::int64_t a_rank) {
  if (ranks_.count() == 1) return own_BD;
  Tensor all_ND = ctx_.empty(DType::f32, {ranks_.count() * a_rank, own_BD.dim(1)});
  fill(ctx_, all_ND, 0);
  const std::int64_t begin = ranks_.place * a_rank;
  Tensor own = all_ND.rows(begin, begin + own_BD.dim(0));
  copy(ctx_, own, own_BD);
  ranks_.all_gather(all_ND);
  return all_ND;
}

void TableScan::answer(const Tensor& state_ND, std::span<Asked> asked, std::int64_t best,
                       const std::vector<std::int32_t>* among) {
  SR_ASSERT(state_ND.dim(0) == std::ssize(asked), "{} states, {} asked", state_ND.dim(0),
            asked.size());
  if (asked.empty()) return;
  const bool targets = std::ranges::any_of(asked, [](const Asked& a) { return a.target >= 0; });
  SR_ASSERT(!targets || among == nullptr, "ranks among {} items", among->size());
  Round round(ctx_, items_, ranks_, state_ND, asked, among);
  if (targets) round.find_targets();
  round.find(targets, best);
}

Tensor TableScan::scores(const Tensor& state_ND, std::span<const std::int32_t> items) {
  const RowsHere found = rows_here(items_.split(), items);
  const std::int64_t states = state_ND.dim(0), wanted = std::ssize(items);
  const std::int64_t here = std::ssize(found.rows);
  Tensor score_NK = host_memory(ctx_, DType::f32, {states, wanted});
  std::ranges::fill(score_NK.span<float>(), 0.0f);
  if (here > 0) {
    Tensor here_NK = ctx_.empty(DType::f32, {states, here});
    items_.score_items(ctx_, here_NK, state_ND, on_device(ctx_, found.rows));
    const Tensor host = to_host(ctx_, here_NK);
    for (std::int64_t n = 0; n < states; ++n)
      for (std::int64_t k = 0; k < here; ++k)
        score_NK.data<float>()[n * wanted + found.places[k]] = host.data<float>()[n * here + k];
  }
  if (ranks_.count() == 1) return score_NK;
  const Tensor all = of_all_ranks(ctx_, ranks_, score_NK);
  for (std::int64_t i = 0; i < states * wanted; ++i)
    score_NK.data<float>()[i] =
        all.data<float>()[items[i % wanted] % items_.split().ranks * states * wanted + i];
  return score_NK;
}

Tensor TableScan::vectors(std::span<const std::int32_t> items) {
  const RowsHere found = rows_here(items_.split(), items);
  const std::int64_t wanted = std::ssize(items), width = items_.width();
  Tensor vector_KD = host_memory(ctx_, DType::f32, {wanted, width});
  std::ranges::fill(vector_KD.span<float>(), 0.0f);
  if (!found.rows.empty()) {
    const Tensor host = to_host(ctx_, items_.vectors(ctx_, on_device(ctx_, found.rows)));
    for (std::size_t k = 0; k < found.rows.size(); ++k)
      std::copy_n(host.data<float>() + k * width, width,
                  vector_KD.data<float>() + found.places[k] * width);
  }
  if (ranks_.count() == 1) return vector_KD;
  const Tensor all = of_all_ranks(ctx_, ranks_, vector_KD);
  for (std::int64_t k = 0; k < wanted; ++k)
    std::copy_n(all.data<float>() + (items[k] % items_.split().ranks * wanted + k) * width, width,
                vector_KD.data<float>() + k * width);
  return vector_KD;
}

}  // namespace seqrank
