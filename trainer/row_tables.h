// Tables that are trained row by row (Parameter::apart): of each step the rows that it touched are
// updated where they lie, by the rank that owns them, and nothing else of the table is read or
// written. What an optimiser remembers of a row lies with its owner. Knows no dense gradients and
// moves nothing between ranks.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/ops/row_optimiser.h"
#include "models/options.h"
#include "trainer/dealt_rows.h"
#include "trainer/row_exchange.h"
#include "trainer/training_state.h"

namespace seqrank {

enum class RowRule { rowwise_adagrad, lazy_adam };

struct RowRules {
  RowRule rule = RowRule::rowwise_adagrad;
  AdamW adamw;  // of lazy_adam
  float decay = 0;
};

// Sets Parameter::apart of the tables that `table.optimiser` trains row by row, and their dtype.
// Throws Error(usage) where it asks for that and no table is read by rows alone, and where
// table.dtype or table.tier ask for what would not do.
void choose_row_tables(const Options& options, ParameterStore& parameters);

// Where they lie if not in the context's memory, as `table.tier` says; else null. For a rank of
// `groups` that holds their values and, where a rule is given, what it keeps of them. Throws
// Error(usage) for files and a device, and for the host's memory and a CPU; Error(device) where the
// host has too little for all of its ranks. Collective.
std::unique_ptr<TableMemory> row_table_memory(Context& ctx, Communicator& ranks,
                                              const Options& options,
                                              const ParameterStore& parameters,
                                              const TableGroups& groups,
                                              std::optional<RowRule> rule);

// What a checkpoint holds of such a table: its weights and, unless it is frozen, what the rule
// keeps.
std::vector<TensorTotal> saved_tensors(const Parameter& table, RowRule rule);

class RowTables {
 public:
  // `store` is allocated and outlives this; owners: of its tables' rows. apart: as it was allocated
  // with; what is kept of rows lies there, too.
  RowTables(Context& ctx, const ParameterStore& store, const RowOwners& owners,
            const RowRules& rules, TableMemory* apart);

  // As those of ShardedAdamW, for what a step touched.
  void add_squared_norm(Context& ctx, Tensor& sum_1, const std::vector<TouchedRows>& touched);
  void update(Context& ctx, const std::vector<TouchedRows>& touched, const Tensor& scale_1,
              float rate, std::int64_t updates);

  // Values and state of this rank's rows, for a checkpoint; views.
  std::vector<TensorPiece> pieces();
  std::vector<DealtRows> dealt_rows();  // of split tables

 private:
  struct Saved {
    std::string name;
    Tensor row_KW;  // the rows that this rank owns; W: the table's width, or one
    ReadElements read = {};
    WriteElements write = {};
  };
  struct Table {
    const Parameter* parameter;
    Tensor value_KD, sum_K;
    LazyMoments moments;
    std::vector<Saved> saved;
  };
  Table make_table(Context& ctx, const Parameter& parameter) const;
  Saved zeros(Context& ctx, const TensorTotal& tensor, std::int64_t rows) const;
  Table& table_of(const Parameter& parameter);

  RowOwners owners_;
  RowRules rules_;
  TableMemory* apart_;
  std::vector<Table> tables_;
};

}  // namespace seqrank
