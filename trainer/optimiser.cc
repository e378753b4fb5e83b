// Both kinds, one after the other.
#include "trainer/optimiser.h"

namespace seqrank {

std::vector<TensorTotal> saved_tensors(const ParameterStore& store, RowRule rule) {
  std::vector<TensorTotal> tensors;
  for (const Parameter& p : store.parameters()) {
    if (p.apart) {
      for (TensorTotal& tensor : saved_tensors(p, rule)) tensors.push_back(std::move(tensor));
    } else {
      for (const std::string& name : saved_tensors(p)) tensors.push_back({name, p.shape.numel()});
    }
  }
  return tensors;
}

Optimiser::Optimiser(Context& ctx, ParameterStore& store, const GradientExchange& exchange,
                     const RowRules& rules, TableMemory* apart)
    : exchange_(exchange),
      dense_(ctx, store, exchange, rules.adamw, rules.decay),
      rows_(ctx, store, exchange.row_owners(), rules, apart) {}

void Optimiser::add_squared_norm(Context& ctx, Tensor& sum_1) {
  dense_.add_squared_norm(ctx, sum_1);
  rows_.add_squared_norm(ctx, sum_1, exchange_.touched_rows());
}

void Optimiser::update(Context& ctx, const Tensor& scale_1, float rate, std::int64_t updates) {
  dense_.update(ctx, scale_1, rate, updates);
  rows_.update(ctx, exchange_.touched_rows(), scale_1, rate, updates);
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

}  // namespace seqrank
