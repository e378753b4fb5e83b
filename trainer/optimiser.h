// What makes new values of gradients: AdamW for all that has a gradient of every element, and a
// rule of rows for tables that are trained row by row. Each rank updates what it owns.
#pragma once

#include "trainer/row_tables.h"
#include "trainer/sharded_adamw.h"

namespace seqrank {

// All that a checkpoint holds of parameters, which need not be allocated.
std::vector<TensorTotal> saved_tensors(const ParameterStore& store, RowRule rule);

class Optimiser {
 public:
  // rules: their AdamW and decay are those of all parameters. apart: as `store` was allocated with.
  Optimiser(Context& ctx, ParameterStore& store, const GradientExchange& exchange,
            const RowRules& rules, TableMemory* apart);

  // sum_1 (f64) += squared norm of the gradients of what this rank owns, since finish().
  void add_squared_norm(Context& ctx, Tensor& sum_1);
  // scale_1, updates: see ShardedAdamW::update().
  void update(Context& ctx, const Tensor& scale_1, float rate, std::int64_t updates);

  // Values and state of this rank, as a checkpoint names them; views. Those of split tables apart.
  std::vector<TensorPiece> pieces();
  std::vector<DealtRows> dealt_rows();

 private:
  const GradientExchange& exchange_;
  ShardedAdamW dense_;
  RowTables rows_;
};

}  // namespace seqrank
