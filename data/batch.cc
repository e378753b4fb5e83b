// A batch's way to the device.
#include "data/batch.h"

#include <initializer_list>

#include "backend/transfer.h"

namespace seqrank {

Batch to_device(Context& ctx, const Batch& host) {
  Batch batch = host;
  const auto move = [&](std::initializer_list<Tensor*> tensors) {
    for (Tensor* tensor : tensors) *tensor = to_device(ctx, *tensor);
  };
  move({&batch.item_N,
        &batch.target_N,
        &batch.time_N,
        &batch.target_index_M,
        &batch.target_M,
        &batch.same_B,
        &batch.offset_B1,
        &batch.time_order_N,
        &batch.last_B,
        &batch.place_B,
        &batch.label_N,
        &batch.target_label_N,
        &batch.ahead_NK,
        &batch.known_next.event_M,
        &batch.known_next.id_M,
        &batch.negative_S,
        &batch.negative_log_q_S,
        &batch.own_negatives.sequence_N,
        &batch.own_negatives.offset_B1,
        &batch.own_negatives.place_K,
        &batch.state_from_B,
        &batch.state_at_S});
  batch.item_rows = to_device(ctx, batch.item_rows);
  for (UniqueRows* rows : {&batch.target_rows, &batch.negative_rows}) {
    if (!rows->id_U) continue;
    move({&rows->place_N, &rows->order_N, &rows->offset_U1});
    rows->id_U = batch.item_rows.id_U;
  }
  for (auto& [name, column] : batch.ids) {
    move({&column.id_N});
    column.rows = to_device(ctx, column.rows);
  }
  for (auto& [name, number_N1] : batch.numbers) move({&number_N1});
  return batch;
}

}  // namespace seqrank
