// Evaluation beyond hits: what lists of recommendations are like, and what was known of the people
// and items that are asked. `evaluate` needs none of it; this is asked for.
#pragma once

#include "trainer/evaluate.h"
#include "trainer/list_measures.h"

namespace seqrank {

// By question, under the protocol's training events.
struct Known {
  std::vector<std::int64_t> history_Q;        // events before the target
  std::vector<std::int64_t> target_events_Q;  // training events of its item
  std::vector<std::int32_t> new_people_rank;  // trainer/cold_start.h: no model is asked of them
};
Known known_of(const Questions& questions);

// Collective. Ranks once more, for the ten best items of every question; `category`: the feature of
// items that diversity is of, "" for none. Throws Error(usage) for one that is not there.
// exchange: as of evaluate().
Metrics evaluate_lists(Context& ctx, Communicator& comm, Model& model, const Protocol& protocol,
                       const EvaluateOptions& options, const std::string& category,
                       GradientExchange* exchange = nullptr);

}  // namespace seqrank
