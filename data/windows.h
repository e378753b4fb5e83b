// How sequences are cut into training samples, as arithmetic on lengths, and the packing of chosen
// windows into tensors. Shared by training, evaluation and recommending; reads no target by itself.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/arena.h"
#include "data/batch.h"
#include "data/protocol.h"
#include "data/sequence_counts.h"

namespace seqrank {

// Events [begin, begin + events) of the file, all of one sequence; inputs of a model.
struct Window {
  std::int64_t sequence = 0;
  std::int64_t begin = 0;
  std::int64_t events = 0;
};

// The training windows of all sequences, numbered in file order.
class TrainingWindows {
 public:
  // The protocol's data set must live as long.
  TrainingWindows(const Protocol& protocol, std::int64_t max_length);
  std::int64_t count() const { return windows_.count(); }
  // The inputs of a window; its targets are the same events one further on.
  Window at(std::int64_t window) const;

 private:
  const Protocol protocol_;
  const std::int64_t max_length_;
  const SequenceCounts windows_;
};

// Everything of a Batch that follows from its windows: inputs, offsets, order, last events.
// place_B is left to the caller; target_N, item_rows and the global counts are, too. Tensors are in
// host memory (the arena's), tag batch.
Batch pack_inputs(const Dataset& dataset, Arena& arena, std::span<const Window> windows);
// How a batch's events, which are there, lie in sequences: all that pack_inputs writes but items.
void set_sequences(Arena& arena, std::span<const Window> windows, Batch& batch);
// The events that follow each input, which must be in the file and in the same sequence. i32 [N]
Tensor pack_targets(const Dataset& dataset, Arena& arena, std::span<const Window> windows);

}  // namespace seqrank
