// Items drawn as wrong answers, the same for all events of a step's global batch on all ranks: a
// pure function of (seed, step), and in_batch of the global batch too. Knows no ranks and no model.
//   uniform    every item alike, with repetition
//   distinct   every item alike, each at most once; all items where they are fewer
//   frequency  an item by 1 + how often it is a training target, with repetition
//   in_batch   targets of the global batch, each of them once; all of them where they are fewer
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/alias_table.h"
#include "data/windows.h"

namespace seqrank {

class NegativeSampler {
 public:
  // Reads all training targets once, unless it draws uniformly. What it keeps is of the arena, tag
  // batch: 4 bytes an item; by frequency 12, and 12 more of the process while that is built.
  NegativeSampler(const Dataset& dataset, const TrainingWindows& windows, Arena& arena,
                  std::uint64_t seed, const NegativeNeeds& needs);
  // Fills batch.negative_S, negative_log_q_S and, where needed, own_negatives, of a batch that has
  // its items and targets. global_batch: the windows of the step.
  void draw(std::int64_t step, std::span<const Window> global_batch, Arena& arena,
            Batch& batch) const;

 private:
  std::vector<std::int32_t> draw_by_chance(std::int64_t step) const;
  std::vector<std::int32_t> draw_distinct(std::int64_t step) const;
  std::vector<std::int32_t> draw_targets(std::int64_t step,
                                         std::span<const Window> global_batch) const;
  double share(std::int32_t item) const;  // the chance of an item in one draw

  const Dataset& dataset_;
  std::uint64_t seed_;
  NegativeNeeds needs_;
  Tensor targets_V_;    // i32: times that an item is a training target
  double targets_ = 0;  // in all
  AliasTable by_frequency_;
};

// Of a batch that has its items, targets and negatives, in host memory.
OwnNegatives own_negatives(Arena& arena, const Batch& batch);

}  // namespace seqrank
