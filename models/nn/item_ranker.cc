// Loss, scores and weights from the encoder alone.
#include "models/nn/item_ranker.h"

#include "models/nn/layers.h"

namespace seqrank {

Var ItemRanker::loss(Tape& tape, const Batch& batch) {
  return items_.loss(tape, encode(tape, batch, nullptr), batch);
}

void ItemRanker::score_next(Context& ctx, const Batch& batch, Tensor& score_BV) {
  Tape tape(ctx, TapeMode::inference, 0);
  const Var last_BD = nn::select_rows(tape, encode(tape, batch, nullptr), batch.last_B);
  items_.scores(ctx, score_BV, last_BD.value());
}

Tensor AttentiveRanker::attention_weights(Context& ctx, const Batch& batch) {
  Tape tape(ctx, TapeMode::inference, 0);
  Tensor weight_N;
  encode(tape, batch, &weight_N);
  return weight_N;
}

}  // namespace seqrank
