// Windows that cover the targets of a split once, for models that score given targets: every target
// has at least half the longest history before it where its sequence has that much. Arithmetic
// alone, and the packing of a batch.
#pragma once

#include <cstdint>

#include "data/questions.h"
#include "data/windows.h"

namespace seqrank {

struct ClickWindow {
  Window inputs;
  std::int64_t asked = 0;           // the targets of the last `asked` inputs are asked
  std::int64_t first_question = 0;  // the first of them among the questions
};

class ClickWindows {
 public:
  // The questions, of one target each, must live as long.
  ClickWindows(const Questions& questions, std::int64_t max_length);
  std::int64_t count() const { return windows_.count(); }
  ClickWindow at(std::int64_t window) const;

 private:
  const Questions& questions_;
  std::int64_t max_length_;
  SequenceCounts windows_;
};

// Inputs and targets of windows, with what is needed of both.
Batch click_batch(const Dataset& dataset, Arena& arena, std::span<const ClickWindow> windows,
                  std::int64_t max_length, const BatchNeeds& needs);

}  // namespace seqrank
