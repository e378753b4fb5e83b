// Turns a data set into packed batches. Prefetches on a thread of its own; batches come in order.
// Takes rank and world as integers; knows no communicator.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "backend/arena.h"
#include "data/batch.h"
#include "data/protocol.h"
#include "data/questions.h"

namespace seqrank {

struct LoaderOptions {
  std::uint64_t seed = 1;
  std::int64_t global_batch = 128;  // samples a step, over all ranks
  std::int64_t max_length = 200;    // events a sample
  int rank = 0;
  int world = 1;
  int prefetch = 4;  // batches made ahead
  BatchNeeds needs = {};
};

// Training: a sequence's training events are cut, from their end, into windows of at most
// max_length + 1 events that overlap by one (the last target of a window is the first input of the
// next), so every event but the first is a target once an epoch.
// An epoch has ceil(samples / global_batch) steps; the last may be short, and a rank's share may be
// empty, but every rank makes every step.
// Where the model needs session-parallel batches, an epoch is that of data/slot_schedule.h, with
// global_batch slots, and its samples are the parts of sessions.
class TrainLoader {
 public:
  // The protocol's data set must live as long.
  TrainLoader(const Protocol& protocol, Arena& arena, const LoaderOptions& options);
  ~TrainLoader();
  std::int64_t samples() const;  // of an epoch
  std::int64_t steps_per_epoch() const;
  // Events of this rank in a global step, from lengths alone: no batch is made. About as many,
  // where items are masked and windows halved, which are dealt to ranks by their halves.
  std::int64_t events(std::int64_t step) const;
  // Makes the next batch that of global step `step` (from 0, over all epochs).
  void seek(std::int64_t step);
  // Blocks until it is ready. Errors of the reading thread are rethrown here.
  Batch next();
  // The batch that next() will give, likewise.
  Batch peek();
  // Blocks until as many are ready as are ever made ahead.
  void fill();
  // This rank's reading time that next() had to wait for, in seconds, since the start.
  double wait_seconds() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Evaluation: questions [begin, end) as one batch, each with a history of its own: the last
// max_length events before the target.
struct EvaluationBatch {
  Batch batch;      // target_N is absent
  Tensor target_B;  // i32
  // All events before the target, for masking what was seen: item ids, ragged.
  Tensor seen_M;          // i32
  Tensor seen_offset_B1;  // i32
};
EvaluationBatch to_device(Context& ctx, const EvaluationBatch& host);
EvaluationBatch evaluation_batch(const Questions& questions, Arena& arena, std::int64_t begin,
                                 std::int64_t end, std::int64_t max_length,
                                 const BatchNeeds& needs = {});
// The same with nothing held back: whole histories, for recommending. target_B is absent.
EvaluationBatch history_batch(const Dataset& dataset, Arena& arena,
                              std::span<const std::int64_t> sequences, std::int64_t max_length,
                              const BatchNeeds& needs = {});

}  // namespace seqrank
