// What the models in use say of one history, and of histories that lack an event of it: scores of
// items and attention. Explains nothing: trainer/explain does.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "data/dataset.h"
#include "data/questions.h"
#include "models/model.h"
#include "trainer/evaluate.h"

namespace seqrank {

struct PlacedItem {
  std::int32_t item;
  float score;
  // Among all that may be recommended, from 1; 0: the model does not rank them.
  std::int64_t rank;
};

class HistoryScores {
 public:
  virtual ~HistoryScores() = default;
  // After the one history of a batch: the best k, or `item` with its place. Throws Error(usage)
  // where no item is given and the model does not rank them.
  virtual std::vector<PlacedItem> asked(const EvaluationBatch& host, std::int64_t k,
                                        std::optional<std::int32_t> item, Seen seen) = 0;
  // Of some items after each history of a batch, [B, K] in host memory.
  virtual Tensor of(const Batch& host, std::span<const std::int32_t> items) = 0;
  // As many as of() should be given, of so many events each.
  virtual std::int64_t histories_at_once(std::int64_t events) const = 0;
  // For each item AttentionModel::attention_weights(); absent ones of a model that has none.
  virtual std::vector<Tensor> attention(const Batch& host, std::span<const std::int32_t> items) = 0;
};

// exchange: as of recommend().
std::unique_ptr<HistoryScores> history_scores(Context& ctx, Model& model, const Dataset& dataset,
                                              GradientExchange* exchange);

}  // namespace seqrank
