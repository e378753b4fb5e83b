// The two kinds of evaluation: items ranked, clicks scored. Only for trainer/evaluate.cc, which
// adds what both have in common.
#pragma once

#include "trainer/evaluate.h"

namespace seqrank {

// Both fill in the metrics and what is by question.
std::optional<Evaluation> evaluate_ranking(Context& ctx, Communicator& comm, Model& model,
                                           const Questions& questions,
                                           const EvaluateOptions& options,
                                           const std::function<bool()>& stop);
// The model is a ClickModel. Throws Error(data) where all labels are alike.
std::optional<Evaluation> evaluate_clicks(Context& ctx, Communicator& comm, Model& model,
                                          const Questions& questions,
                                          const EvaluateOptions& options,
                                          const std::function<bool()>& stop);

}  // namespace seqrank
