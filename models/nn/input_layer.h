// The input that all sequence models share: e_t = item + what is known of the event (place, times,
// action, ...), each with a table of its own or, for a number, a direction of its own.
#pragma once

#include <string>
#include <vector>

#include "models/model.h"
#include "models/nn/item_table.h"

namespace seqrank {

// A vector for each of some columns of the batch.
class ColumnVectors {
 public:
  // option: the key of the list of columns, "none" or names; prefix: what stands before these names
  // in the batch, "" or "target." (see data/event_columns.h). Declares parameters. Throws
  // Error(usage) for a column that the data set does not have.
  ColumnVectors(const ModelInput& input, const std::string& option, const std::string& prefix,
                std::int64_t width);

  bool empty() const { return parts_.empty(); }
  // x_ND plus all of them; x_ND may be absent.
  Var add_to(Tape& tape, Var x_ND, const Batch& batch) const;
  void add_needs(BatchNeeds& needs) const;

 private:
  struct Part {
    std::string column;
    bool number;
    Parameter* table;  // [values, D]; of a number [D, 1]
  };
  std::vector<Part> parts_;
  std::int64_t max_length_ = 0;  // where places have vectors: how many
};

class InputLayer {
 public:
  // "model.input", for models to add to their own.
  static std::vector<OptionSpec> options(const std::string& default_columns);
  // Declares its parameters. Throws Error(usage) for a column that the data set does not have.
  InputLayer(const ModelInput& input, std::int64_t width)
      : columns_(input, "model.input", "", width) {}

  Var operator()(Tape& tape, ItemTable& items, const Batch& batch) const {
    return columns_.add_to(tape, items.lookup(tape, batch), batch);
  }
  BatchNeeds needs() const;

 private:
  ColumnVectors columns_;
};

}  // namespace seqrank
