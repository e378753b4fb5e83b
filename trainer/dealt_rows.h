// Rows of a split table between their owners, to which they are dealt round, and checkpoints, which
// know ranges of neighbouring elements: what is saved of a table looks the same however it was
// split, so that any other number of ranks and groups reads it. Through host memory, not for steps.
#pragma once

#include <string>

#include "backend/context.h"
#include "trainer/table_groups.h"
#include "trainer/training_state.h"

namespace seqrank {

// What a rank owns of a tensor whose rows are those of a split table.
struct DealtRows {
  std::string name;
  std::int64_t rows = 0;   // of the whole tensor
  Tensor row_KD;           // its own, in rising order; f32 or bf16, of any device
  ReadElements read = {};  // how a save reads them; absent: from row_KD
};

// All of these are collective over `comm`, the hosts' of all ranks.
//
// This rank's range of the tensor, as the owners of its rows have them now. Blocks.
TensorPiece range_of(Context& ctx, Communicator& comm, const TableGroups& groups,
                     const DealtRows& own);
// A range of the same extent, to be filled.
TensorPiece empty_range(Context& ctx, Communicator& comm, const DealtRows& own);
// The way back: each rank gives its range, each owner's row_KD is written. Blocks.
void deal_out(Context& ctx, Communicator& comm, const TableGroups& groups, const TensorPiece& range,
              DealtRows& own);

}  // namespace seqrank
