// One rank's share of a global batch, packed: N events of B sequences end to end. The only header
// of data that models may include.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "backend/ops/unique_rows.h"

namespace seqrank {

// What is known of each event besides its item, as one of `values` ids.
struct IdColumn {
  std::int64_t values = 0;
  Tensor id_N;      // i32, in [0, values)
  UniqueRows rows;  // of id_N; absent where there is nothing to predict
};

// The events of a batch of which a column knows something; see data/next_values.h. i32.
struct KnownValues {
  Tensor event_M, id_M;
};

// What a training batch asks for.
enum class Objective {
  next,    // after each event the item that follows
  masked,  // the items of events that are hidden, from all others of the sample
};

// See data/masked_batch.h.
struct Masking {
  double share = 0.15;    // of events, hidden; at least one of each sample
  double last_share = 0;  // of samples: only the last event is hidden
  bool halves = false;    // half of the samples have another's second half: same_B
};

// Items drawn as wrong answers, see data/negatives.h.
enum class Sampler { uniform, distinct, frequency, in_batch };
struct NegativeNeeds {
  std::int64_t count = 0;  // of a step, common to all events of all ranks; 0: none
  Sampler sampler = Sampler::uniform;
  bool own = false;  // which of them are items of an event's own sequence: Batch::own_negatives
};

// For event n, places among negative_S of the items of its own sequence, as far as the batch has
// it, targets too: place_K from offset_B1[sequence_N[n]] up to the next. All i32.
struct OwnNegatives {
  Tensor sequence_N, offset_B1, place_K;
};

// What a model reads of a batch besides items. Columns: see data/event_columns.h.
struct BatchNeeds {
  std::vector<std::string> columns;
  bool labels = false;
  bool target_rows = false;  // item vectors of targets are looked up, not only scored against
  bool times = false;
  std::string ahead_column = {};  // of the targets; "": none
  std::int64_t ahead = 0;         // events, the target the first of them
  NegativeNeeds negatives = {};
  std::int64_t max_length = 0;  // events of a sequence that it can read; 0: any
  Objective objective = Objective::next;
  Masking masking = {};
  // Session-parallel training, see data/slot_schedule.h: events of a session a step; 0: sequences
  // are read whole.
  std::int64_t slot_events = 0;
};

// Slots of session-parallel training: those of this rank, of `all`.
struct SlotRange {
  std::int64_t begin = 0, end = 0, all = 0;
  std::int64_t count() const { return end - begin; }
};

struct Batch {
  std::int64_t sequences = 0;  // B, this rank; may be zero
  std::int64_t events = 0;     // N, this rank

  Tensor item_N;         // i32, dense item ids, 0 = the most frequent
  Tensor target_N;       // i32, the item that follows; absent when there is nothing to predict
  UniqueRows item_rows;  // of item_N; absent likewise
  // With negatives, or where rows of targets are needed, item_rows.id_U are the rows of these, too,
  // and the same in all of them; each has places and events of its own.
  Tensor negative_S;        // i32, the same on all ranks; absent unless asked for
  Tensor negative_log_q_S;  // f32, log of how often each is expected among the draws
  UniqueRows target_rows, negative_rows;
  OwnNegatives own_negatives;  // absent unless asked for
  // Objective::masked, in place of target_N: which events are hidden (rising) and their items. A
  // hidden event's item_N may be one more than the last item: the mask. When ranking, the mask is
  // the last event of each sequence.
  Tensor target_index_M, target_M;  // i32
  Tensor same_B;                    // f32, 1: both halves are one sequence's; else 0
  Tensor time_N;                    // i64, seconds; absent unless asked for
  // Labels (0 or 1, f32) of the events and of their targets; absent where the data set has none.
  Tensor label_N, target_label_N;
  Tensor offset_B1;     // i32, first event of each sequence, then N
  Tensor time_order_N;  // i32, time-major order, sequences by falling length: place -> event
  Tensor last_B;        // i32, the last event of each sequence
  Tensor place_B;       // i64, epoch * samples + place in the epoch's order; key of random numbers

  std::map<std::string, IdColumn> ids;    // by the name of the column
  std::map<std::string, Tensor> numbers;  // f32 [N, 1], likewise

  Tensor ahead_NK;         // u8, which values of needs.ahead_column come next (data/next_values.h)
  KnownValues known_next;  // of needs.ahead_column; absent likewise

  // Of session-parallel training alone, where each sequence is what a slot reads in this step; they
  // are sorted by falling length. i32. The slot, counted in this rank's range, whose state goes
  // before; the number of its slots where a session begins.
  Tensor state_from_B;
  // The event whose state each slot keeps; any where it read nothing, for then it has ended.
  Tensor state_at_S;

  std::vector<std::int32_t> sequences_at_T;  // sequences that still have an event at step t
  std::vector<std::int64_t> sequence_B;      // which sequence of the data set each one is

  std::int64_t global_targets = 0;      // over all ranks
  std::vector<std::int64_t> targets_R;  // of each rank, when training
  std::int64_t global_sequences = 0;
  std::int64_t global_events = 0;
};

// The batch with its tensors on the device; on the CPU they are the same. Returns at once.
Batch to_device(Context& ctx, const Batch& host);

}  // namespace seqrank
