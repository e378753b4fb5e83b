// Full-catalogue ranking metrics: one positive a sequence, every item of the catalogue ranked, ties
// against the model (conservative). Sequences are split over ranks. No sampled candidates.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "collective/communicator.h"
#include "data/loader.h"
#include "models/model.h"

namespace seqrank {

enum class Seen { masked, kept };  // whether items of the history may be recommended again

struct EvaluateOptions {
  Split split = Split::test;
  Seen seen = Seen::masked;
  std::int64_t max_length = 200;
};

struct Evaluation {
  std::string protocol = "p1";
  std::string split;
  std::int64_t sequences = 0;             // that have a target in this split
  std::int64_t ties = 0;                  // other items that scored the same as a target, in all
  std::map<std::string, double> metrics;  // "ndcg@10", "hr@10", "mrr@10", ... at 1, 5, 10, 20
  double seconds = 0;
  int ranks = 1;
  // Rank of the target by sequence of the data set, 0 where there is none; on every rank. For
  // paired comparisons between models.
  std::vector<std::int32_t> rank_S;
};

// Whether some sequence has one.
bool has_targets(const Dataset& dataset);

// Collective. Throws Error(data) where no sequence has a target.
Evaluation evaluate(Context& ctx, Communicator& comm, Model& model, const Dataset& dataset,
                    const EvaluateOptions& options);
// Likewise, but gives up, on all ranks, where `stop` becomes true on one. It is asked between
// blocks of sequences, and not after the last.
std::optional<Evaluation> evaluate_unless(Context& ctx, Communicator& comm, Model& model,
                                          const Dataset& dataset, const EvaluateOptions& options,
                                          const std::function<bool()>& stop);

// One pass over the training split, on every rank alike.
void fit_counts(Context& ctx, CountingModel& model, const Dataset& dataset,
                std::int64_t max_length);

// "evaluate.seen", "data.max_length": what training and evaluation have in common.
std::vector<OptionSpec> evaluate_options();
EvaluateOptions evaluate_options_from(const Options& options, Split split);

}  // namespace seqrank
