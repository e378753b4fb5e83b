// Full-catalogue ranking metrics: one positive a question, every item of the catalogue ranked, ties
// against the model (conservative). Questions are split over ranks. No sampled candidates.
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
  std::string protocol;
  std::string split;
  std::int64_t sequences = 0;  // that have a target in this split
  std::int64_t ties = 0;       // other items that scored the same as a target, in all
  // At k = 1, 5, 10, 20, means over questions: "ndcg@10", "hr@10", "mrr@10"; where a question has
  // several items that follow, "recall@10": the share of them that is among the best k.
  std::map<std::string, double> metrics;
  double seconds = 0;
  int ranks = 1;
  // By question, in their order; on every rank. For paired comparisons between models.
  std::vector<std::int32_t> rank_Q;      // of the target, from 1
  std::vector<std::int64_t> sequence_Q;  // of the data set
};

// Collective. Throws Error(data) where no sequence has a target.
Evaluation evaluate(Context& ctx, Communicator& comm, Model& model, const Protocol& protocol,
                    const EvaluateOptions& options);
// Likewise, but gives up, on all ranks, where `stop` becomes true on one. It is asked between
// blocks of questions, and not after the last.
std::optional<Evaluation> evaluate_unless(Context& ctx, Communicator& comm, Model& model,
                                          const Protocol& protocol, const EvaluateOptions& options,
                                          const std::function<bool()>& stop);

// One pass over the training split, on every rank alike.
void fit_counts(Context& ctx, CountingModel& model, const Protocol& protocol,
                std::int64_t max_length);

// "data.max_length", "data.protocol" and what belongs to it, "evaluate.seen": what training and
// evaluation have in common.
std::vector<OptionSpec> evaluate_options();
ProtocolOptions protocol_options_from(const Options& options);
// What is seen is masked unless the protocol is session or the options say otherwise.
EvaluateOptions evaluate_options_from(const Options& options, Split split);

}  // namespace seqrank
