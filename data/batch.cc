// A batch's way to the device.
#include "data/batch.h"

#include "backend/transfer.h"

namespace seqrank {

Batch to_device(Context& ctx, const Batch& host) {
  Batch batch = host;
  for (Tensor* tensor :
       {&batch.item_N, &batch.target_N, &batch.item_rows.id_U, &batch.item_rows.place_N,
        &batch.item_rows.order_N, &batch.item_rows.offset_U1, &batch.offset_B1, &batch.time_order_N,
        &batch.last_B, &batch.place_B})
    *tensor = to_device(ctx, *tensor);
  return batch;
}

}  // namespace seqrank
