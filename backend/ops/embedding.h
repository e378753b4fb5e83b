// Rows of a table by id, and the gradient: rows added back. Ids are checked when a data set is
// opened, not here.
#pragma once

#include "backend/context.h"

namespace seqrank {

// y_ND[n] = table_VD[id_N[n]]; written. id_N is i32, table_VD f32 or bf16, which is exact in y_ND.
void gather_rows(Context& ctx, Tensor& y_ND, const Tensor& table_VD, const Tensor& id_N);

// table_VD[id_N[n]] += y_ND[n]; no id is there twice, so that nothing depends on who adds first.
// Where several events share a row, sum_rows() of backend/ops/unique_rows.h goes before.
void scatter_add_rows(Context& ctx, Tensor& table_VD, const Tensor& id_N, const Tensor& y_ND);

}  // namespace seqrank
