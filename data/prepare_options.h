// What options of prepare may not say together. Looks at no column of a file.
#pragma once

#include "data/prepare.h"

namespace seqrank {

// Throws Error(usage).
void check_options(const PrepareOptions& options);

// Whether the input says what each sequence is for.
inline bool splits(const PrepareOptions& options) {
  return !options.test_input.empty() || !options.split_column.empty() || options.split_by_prefix;
}

}  // namespace seqrank
