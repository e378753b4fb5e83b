// One rule for all tables: what it keeps of a row, and how a checkpoint names it.
#include "trainer/row_tables.h"

#include <algorithm>

#include "backend/ops/activation.h"

namespace seqrank {

void choose_row_tables(const Options& options, ParameterStore& parameters) {
  if (options.text("table.optimiser") == "adamw") return;
  bool found = false;
  for (Parameter& p : parameters.parameters()) {
    p.apart = p.access == Access::rows;
    found = found || p.apart;
  }
  SR_CHECK(found, ErrorKind::usage,
           "--table.optimiser={}: this model has no table that is read by rows alone; the exact "
           "softmax reads all of a tied one (take another --loss.kind, or --model.tied=no)",
           options.text("table.optimiser"));
}

RowTables::RowTables(Context& ctx, const ParameterStore& store, const RowOwners& owners,
                     const RowRules& rules)
    : owners_(owners), rules_(rules) {
  for (const Parameter& p : store.parameters())
    if (p.apart) tables_.push_back(make_table(ctx, p));
}

RowTables::Table RowTables::make_table(Context& ctx, const Parameter& parameter) {
  const auto own = owners_.own();
  const std::int64_t rows = own.end - own.begin, width = parameter.shape[1];
  Table table{&parameter, parameter.local_value().rows(own.begin, own.end), {}, {}, {}};
  table.saved.push_back({parameter.name + "/weight", table.value_KD});
  if (parameter.frozen()) return table;
  const auto zeros = [&](const char* name, std::int64_t columns) {
    Tensor state_KW = ctx.empty(DType::f32, {rows, columns}, Tag::optimiser);
    fill(ctx, state_KW, 0);
    table.saved.push_back({parameter.name + name, state_KW});
    return state_KW;
  };
  if (rules_.rule == RowRule::rowwise_adagrad) {
    table.sum_K = zeros("/sum", 1).reshape({rows});
  } else {
    table.moments.m_KD = zeros("/m", width);
    table.moments.v_KD = zeros("/v", width);
    table.moments.updates_K = zeros("/updates", 1).reshape({rows});
  }
  return table;
}

void RowTables::add_squared_norm(Context& ctx, Tensor& sum_1,
                                 const std::vector<TouchedRows>& touched) {
  for (const TouchedRows& rows : touched) seqrank::add_squared_norm(ctx, sum_1, rows.g_UD);
}

void RowTables::update(Context& ctx, const std::vector<TouchedRows>& touched, const Tensor& scale_1,
                       float rate) {
  for (const TouchedRows& rows : touched) {
    Table& table = table_of(*rows.table);
    const RowRate own_rate{rate * rows.table->rate,
                           rows.table->decay == Decay::yes ? rules_.decay : 0.0f};
    if (rules_.rule == RowRule::rowwise_adagrad)
      rowwise_adagrad(ctx, table.value_KD, table.sum_K, rows.id_U, rows.g_UD, scale_1, own_rate);
    else
      lazy_adam(ctx, table.value_KD, table.moments, rows.id_U, rows.g_UD, scale_1, rules_.adamw,
                own_rate);
  }
}

RowTables::Table& RowTables::table_of(const Parameter& parameter) {
  const auto found = std::ranges::find(tables_, &parameter, &Table::parameter);
  SR_ASSERT(found != tables_.end(), "{}: is not trained row by row", parameter.name);
  return *found;
}

std::vector<TensorPiece> RowTables::pieces() {
  std::vector<TensorPiece> pieces;
  const auto own = owners_.own();
  for (const Table& table : tables_) {
    if (table.parameter->split.ranks > 1 || own.begin == own.end) continue;
    for (const Saved& saved : table.saved) {
      const std::int64_t width = saved.row_KW.dim(1);
      pieces.push_back({saved.name, own.begin * width, own.end * width,
                        table.parameter->shape[0] * width,
                        saved.row_KW.reshape({saved.row_KW.numel()})});
    }
  }
  return pieces;
}

std::vector<DealtRows> RowTables::dealt_rows() {
  std::vector<DealtRows> all;
  for (const Table& table : tables_) {
    if (table.parameter->split.ranks == 1) continue;
    for (const Saved& saved : table.saved)
      all.push_back({saved.name, table.parameter->shape[0], saved.row_KW});
  }
  return all;
}

std::vector<TensorTotal> RowTables::totals() const {
  std::vector<TensorTotal> totals;
  for (const Table& table : tables_)
    for (const Saved& saved : table.saved)
      totals.push_back({saved.name, table.parameter->shape[0] * saved.row_KW.dim(1)});
  return totals;
}

}  // namespace seqrank
