// The input that all sequence models share: e_t = item + what is known of the event (place, times,
// action, ...), each with a table of its own or, for a number, a direction of its own.
#pragma once

#include <string>
#include <vector>

#include "models/model.h"
#include "models/nn/item_table.h"

namespace seqrank {

class InputLayer {
 public:
  // "model.input", for models to add to their own.
  static std::vector<OptionSpec> options(const std::string& default_columns);
  // Declares its parameters. Throws Error(usage) for a column that the data set does not have.
  InputLayer(const ModelInput& input, std::int64_t width);

  Var operator()(Tape& tape, ItemTable& items, const Batch& batch) const;
  BatchNeeds needs() const;

 private:
  struct Part {
    std::string column;
    bool number;
    Parameter* table;  // [values, D]; of a number [D, 1]
  };
  std::vector<Part> parts_;
  std::int64_t max_length_ = 0;  // where places have vectors: how many
};

}  // namespace seqrank
