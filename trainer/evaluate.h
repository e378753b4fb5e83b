// Ranking: one positive a question, every item of the catalogue ranked, ties against the model
// (conservative); no sampled candidates. Click-through, where the protocol is ctr: every target
// scored. What is asked is split over ranks.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "collective/communicator.h"
#include "data/loader.h"
#include "models/model.h"
#include "trainer/measures.h"

namespace seqrank {

class GradientExchange;

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
  // trainer/measures.h; of temporal also "recall@k": of the items that follow in the split, the
  // share among the best k.
  Metrics metrics;
  std::string selection;  // the metric that the best checkpoint is chosen by
  double seconds = 0;
  int ranks = 1;
  // By question, in their order; on every rank. For paired comparisons between models.
  std::vector<std::int64_t> sequence_Q;  // of the data set
  std::vector<std::int32_t> rank_Q;      // of the target, from 1; not of clicks
  std::vector<float> logit_Q;            // of clicks alone, as the label is
  std::vector<std::uint8_t> label_Q;
};

// Throws Error(usage) for a model that does not score clicks where the protocol asks for them.
void check_can_answer(const Model& model, ProtocolKind protocol);
// Likewise for one that scores items by more than a state, where its tables are split.
void check_can_answer_split(Model& model);

// Collective. Throws as check_can_answer(), and Error(data) where no sequence has a target.
// exchange: by which a model has its parameters, settled, where tables may be split over ranks.
Evaluation evaluate(Context& ctx, Communicator& comm, Model& model, const Protocol& protocol,
                    const EvaluateOptions& options, GradientExchange* exchange = nullptr);
// Likewise, but gives up, on all ranks, where `stop` becomes true on one. It is asked between
// blocks of questions, and not after the last.
std::optional<Evaluation> evaluate_unless(Context& ctx, Communicator& comm, Model& model,
                                          const Protocol& protocol, const EvaluateOptions& options,
                                          const std::function<bool()>& stop,
                                          GradientExchange* exchange = nullptr);

// One pass over the training split, on every rank alike. Throws Error(usage) where the data set
// lacks what the model reads, Error(data) where no sequence has two training events.
void fit_counts(CountingModel& model, const Protocol& protocol, std::int64_t max_length);

// "data.max_length", "data.protocol" and what belongs to it, "evaluate.seen", "table.*": what
// training and evaluation have in common.
std::vector<OptionSpec> evaluate_options();
// Higher is better: "ndcg@10", or "auc" of clicks.
const char* selection_metric(ProtocolKind kind);
std::string metric_title(const std::string& metric);  // for people: "NDCG@10"
ProtocolOptions protocol_options_from(const Options& options);
// What is seen is masked unless the protocol is session or the options say otherwise.
EvaluateOptions evaluate_options_from(const Options& options, Split split);

}  // namespace seqrank
