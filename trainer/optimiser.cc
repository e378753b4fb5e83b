// Both kinds, one after the other.
#include "trainer/optimiser.h"

namespace seqrank {

Optimiser::Optimiser(Context& ctx, ParameterStore& store, const GradientExchange& exchange,
                     const RowRules& rules)
    : store_(store),
      exchange_(exchange),
      dense_(ctx, store, exchange, rules.adamw, rules.decay),
      rows_(ctx, store, exchange.row_owners(), rules) {}

void Optimiser::add_squared_norm(Context& ctx, Tensor& sum_1) {
  dense_.add_squared_norm(ctx, sum_1);
  rows_.add_squared_norm(ctx, sum_1, exchange_.touched_rows());
}

void Optimiser::update(Context& ctx, const Tensor& scale_1, float rate, std::int64_t updates) {
  dense_.update(ctx, scale_1, rate, updates);
  rows_.update(ctx, exchange_.touched_rows(), scale_1, rate);
}

std::vector<TensorPiece> Optimiser::pieces() {
  std::vector<TensorPiece> all = dense_.pieces();
  for (TensorPiece& piece : rows_.pieces()) all.push_back(std::move(piece));
  return all;
}

std::vector<DealtRows> Optimiser::dealt_rows() {
  std::vector<DealtRows> all = dense_.dealt_rows();
  for (DealtRows& rows : rows_.dealt_rows()) all.push_back(std::move(rows));
  return all;
}

std::vector<TensorTotal> Optimiser::totals() const {
  std::vector<TensorTotal> totals = rows_.totals();
  for (const Parameter& p : store_.parameters())
    if (!p.apart)
      for (const std::string& name : saved_tensors(p)) totals.push_back({name, p.shape.numel()});
  return totals;
}

}  // namespace seqrank
