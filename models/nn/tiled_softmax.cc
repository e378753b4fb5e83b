// Two passes over the tiles for each piece of the states. Products are those of a linear layer, so
// that precision and devices are its business.
#include "models/nn/tiled_softmax.h"

#include <algorithm>

#include "backend/ops/activation.h"
#include "backend/ops/l2_normalise.h"
#include "backend/ops/linear.h"
#include "backend/ops/softmax_tiles.h"
#include "backend/transfer.h"

namespace seqrank::nn {
namespace {

// Of the states that meet the table at once, all ranks' together: so many that the table, which is
// read from far away for each piece, costs less than the products. The tile follows: 16 MiB.
constexpr std::int64_t kPieceRows = 1024;
constexpr std::int64_t kTileElements = 4 << 20;
constexpr std::int64_t kLeastItems = 256, kMostItems = 16384;

// The rows of a table that are here, tile by tile.
class Tiles {
 public:
  Tiles(Context& ctx, const ScoredTable& scored, std::int64_t states)
      : ctx_(ctx),
        length_(scored.length),
        split_(scored.table_VD.split),
        rows_(split_.rows_here(scored.items)),
        step_(std::min(rows_, std::clamp(kTileElements / states, kLeastItems, kMostItems))),
        table_KD_(scored.table_VD.value()),
        dtable_KD_(scored.table_VD.gradient) {
    const std::int64_t depth = scored.table_VD.shape[1];
    logit_NT_ = ctx.empty(DType::f32, {states * step_}, Tag::workspace);
    dh_ND_ = ctx.empty(DType::f32, {states, depth}, Tag::workspace);
    if (length_ == RowLength::as_is) return;
    for (Tensor* rows : {&unit_TD_, &dunit_TD_, &drow_TD_})
      *rows = ctx.empty(DType::f32, {step_, depth}, Tag::workspace);
    norm_T_ = ctx.empty(DType::f32, {step_}, Tag::workspace);
  }

  // Calls visit(first row, logits of the tile against h_ND).
  template <class Visit>
  void each(const Tensor& h_ND, Visit&& visit) {
    const Tensor no_bias;
    for (std::int64_t begin = 0; begin < rows_; begin += step_) {
      const std::int64_t columns = std::min(step_, rows_ - begin);
      Tensor logit = logit_NT_.flat_range(0, h_ND.dim(0) * columns).reshape({h_ND.dim(0), columns});
      linear(ctx_, logit, h_ND, scored_rows(begin, columns), no_bias);
      visit(begin, logit);
    }
  }
  // Of the tile that is being visited. sum_ND and the table's gradient are added to.
  void add_gradients(Tensor& sum_ND, const Tensor& h_ND, std::int64_t begin,
                     const Tensor& dlogit_NT) {
    const std::int64_t columns = dlogit_NT.dim(1);
    // Its logits were computed once more, which is no work of the model's.
    ctx_.count_flops(-2.0 * static_cast<double>(h_ND.numel() * columns));
    Tensor no_bias, dh = dh_ND_.rows(0, h_ND.dim(0));
    Tensor dtable = dtable_KD_.rows(begin, begin + columns);
    if (length_ == RowLength::as_is) {
      linear_backward(ctx_, dh, dtable, no_bias, dlogit_NT, h_ND,
                      table_KD_.rows(begin, begin + columns));
    } else {
      const Tensor unit = unit_TD_.rows(0, columns);
      Tensor dunit = dunit_TD_.rows(0, columns), drow = drow_TD_.rows(0, columns);
      fill(ctx_, dunit, 0);
      linear_backward(ctx_, dh, dunit, no_bias, dlogit_NT, h_ND, unit);
      l2_normalise_backward(ctx_, drow, dunit, unit, norm_T_.rows(0, columns));
      add(ctx_, dtable, drow);
    }
    add(ctx_, sum_ND, dh);
  }
  TileItems items_from(std::int64_t begin) const {
    return {split_.row_of_table(begin), split_.ranks};
  }

 private:
  Tensor scored_rows(std::int64_t begin, std::int64_t columns) {
    const Tensor rows = table_KD_.rows(begin, begin + columns);
    if (length_ == RowLength::as_is) return rows;
    Tensor unit = unit_TD_.rows(0, columns), norm = norm_T_.rows(0, columns);
    l2_normalise(ctx_, unit, norm, rows);
    return unit;
  }

  Context& ctx_;
  RowLength length_;
  RowSplit split_;
  std::int64_t rows_, step_;
  Tensor table_KD_, dtable_KD_, logit_NT_, dh_ND_;
  Tensor unit_TD_, dunit_TD_, drow_TD_, norm_T_;  // where rows are of length one
};

// So many states of each rank at once, and who holds the table together.
class Pieces {
 public:
  Pieces(Context& ctx, const TableRanks& ranks, std::int64_t own, const Batch& batch,
         std::int64_t depth)
      : ctx_(ctx), ranks_(ranks), own_(own), most_(own) {
    if (ranks.count() > 1) {
      const std::vector<std::int64_t>& targets_R = batch.targets_R;
      SR_ASSERT(!targets_R.empty() && targets_R[ranks.ranks[ranks.place]] == own,
                "{} states: not of the targets that this rank's batch has", own);
      for (const int rank : ranks.ranks) most_ = std::max(most_, targets_R[rank]);
    }
    rows_ = std::min(std::max<std::int64_t>(kPieceRows / ranks.count(), 1), most_);
    const std::int64_t all = rows_ * ranks.count();
    h_GD = ctx.empty(DType::f32, {all, depth}, Tag::workspace);
    dh_GD = ctx.empty(DType::f32, {all, depth}, Tag::workspace);
    target_G = ctx.empty(DType::i32, {all}, Tag::workspace);
    state_G4 = ctx.empty(DType::f64, {all, kStateColumns}, Tag::workspace);
    if (ranks.count() > 1)
      state_RG4_ = ctx.empty(DType::f64, {ranks.count(), all, kStateColumns}, Tag::workspace);
    Tensor none(ctx.host_arena(), DType::i32, {all}, Tag::workspace);
    std::ranges::fill(none.span<std::int32_t>(), -1);
    no_target_G_ = to_device(ctx, none);
  }

  std::int64_t most() const { return most_; }  // states of one rank
  std::int64_t rows() const { return rows_; }
  // This rank's of the piece that begins at `first`: rows of its states, and of what is gathered.
  std::int64_t end(std::int64_t first) const { return std::min(first + rows_, own_); }
  Tensor own(const Tensor& gathered, std::int64_t first) const {
    const std::int64_t begin = ranks_.place * rows_;
    return gathered.rows(begin, begin + std::max<std::int64_t>(end(first) - first, 0));
  }

  void gather(const Tensor& h_MD, const Tensor& target_M, float factor, std::int64_t first) {
    fill(ctx_, h_GD, 0);
    fill(ctx_, dh_GD, 0);
    fill(ctx_, state_G4, 0);
    copy(ctx_, target_G, no_target_G_);
    if (first < own_) {
      Tensor h = own(h_GD, first), target = own(target_G, first);
      copy(ctx_, h, h_MD.rows(first, end(first)));
      if (factor != 1) scale(ctx_, h, factor);
      copy(ctx_, target, target_M.rows(first, end(first)));
    }
    if (ranks_.count() == 1) return;
    ranks_.all_gather(h_GD);
    ranks_.all_gather(target_G);
  }
  // What all ranks' tiles say together.
  void join() {
    if (ranks_.count() == 1) return;
    const std::int64_t all = state_G4.dim(0);
    Tensor mine = state_RG4_.rows(ranks_.place, ranks_.place + 1).reshape({all, kStateColumns});
    copy(ctx_, mine, state_G4);
    ranks_.all_gather(state_RG4_);
    join_softmax(ctx_, state_G4, state_RG4_);
  }
  void give_back(Tensor& dh_MD, float factor, std::int64_t first) {
    if (ranks_.count() > 1) ranks_.reduce_scatter(dh_GD);
    if (first >= own_) return;
    Tensor to = dh_MD.rows(first, end(first));
    copy(ctx_, to, own(dh_GD, first));
    if (factor != 1) scale(ctx_, to, factor);
  }

  Tensor h_GD, dh_GD, target_G, state_G4;  // of all ranks' states of a piece; padded

 private:
  Context& ctx_;
  const TableRanks& ranks_;
  std::int64_t own_, most_, rows_ = 0;
  Tensor state_RG4_, no_target_G_;
};

// dh_MD is written, the table's gradient and loss_1 are added to.
void run(Tape& tape, Tensor& loss_1, Tensor& dh_MD, const Tensor& h_MD, const Tensor& target_M,
         const ScoredTable& scored, const Batch& batch, float temperature,
         const SoftmaxTarget& wanted) {
  Context& ctx = tape.ctx();
  Pieces pieces(ctx, tape.table_ranks(), h_MD.dim(0), batch, h_MD.dim(1));
  if (pieces.most() == 0) return;
  Tiles tiles(ctx, scored, pieces.h_GD.dim(0));
  for (std::int64_t first = 0; first < pieces.most(); first += pieces.rows()) {
    pieces.gather(h_MD, target_M, 1 / temperature, first);
    tiles.each(pieces.h_GD, [&](std::int64_t begin, Tensor& logit) {
      add_to_softmax(ctx, pieces.state_G4, logit, pieces.target_G, tiles.items_from(begin));
    });
    pieces.join();
    if (first < h_MD.dim(0))
      add_softmax_loss(ctx, loss_1, pieces.own(pieces.state_G4, first), wanted);
    tiles.each(pieces.h_GD, [&](std::int64_t begin, Tensor& logit) {
      softmax_gradient(ctx, logit, pieces.state_G4, pieces.target_G, tiles.items_from(begin),
                       wanted);
      tiles.add_gradients(pieces.dh_GD, pieces.h_GD, begin, logit);
    });
    pieces.give_back(dh_MD, 1 / temperature, first);
  }
}

}  // namespace

Var tiled_softmax_loss(Tape& tape, Var h_MD, const ScoredTable& scored, const Tensor& target_M,
                       const Batch& batch, const SoftmaxOptions& options) {
  Context& ctx = tape.ctx();
  Var loss(ctx.empty(DType::f64, {1}));
  Tensor loss_1 = loss.value();
  fill(ctx, loss_1, 0);
  Tensor dh_MD = ctx.empty(DType::f32, h_MD.value().shape());
  const SoftmaxTarget wanted{
      .items = scored.items,
      .smoothing = options.label_smoothing,
      .scale = batch.global_targets > 0 ? 1.0f / static_cast<float>(batch.global_targets) : 0.0f,
      .loss_scale_1 = tape.loss_scale_1()};
  run(tape, loss_1, dh_MD, h_MD.value(), target_M, scored, batch, options.temperature, wanted);
  tape.record(loss, {&scored.table_VD},
              [&tape, h_MD, dh_MD]() mutable { tape.give_gradient(h_MD, dh_MD); });
  return loss;
}

}  // namespace seqrank::nn
