// Loss, scores and weights from the encoder alone.
#include "models/nn/item_ranker.h"

#include "models/nn/layers.h"

namespace seqrank {

Var ItemRanker::loss(Tape& tape, const Batch& batch) {
  return items_.loss(tape, encode(tape, batch, nullptr), batch);
}

void ItemRanker::score_next(Context& ctx, const Batch& batch, Tensor& score_BV) {
  items_.scores(ctx, score_BV, next_states(ctx, batch, {}));
}

Tensor ItemRanker::next_states(Context& ctx, const Batch& batch, const TapeHooks& hooks) {
  Tape tape(ctx, TapeMode::inference, 0, hooks);
  const Var last_BD = nn::select_rows(tape, encode(tape, batch, nullptr), batch.last_B);
  return items_.scored_states(ctx, head(tape, last_BD).value());
}

Tensor AttentiveRanker::attention_weights(Context& ctx, const Batch& batch,
                                          const TapeHooks& hooks) {
  Tape tape(ctx, TapeMode::inference, 0, hooks);
  Tensor weight_N;
  encode(tape, batch, &weight_N);
  return weight_N;
}

}  // namespace seqrank
