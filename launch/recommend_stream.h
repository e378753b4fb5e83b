// Histories in, recommendations out, a line each: `recommend --stdin`. Answers come as soon as they
// are there, in the order of the questions.
#pragma once

#include <functional>
#include <istream>
#include <string>
#include <vector>

#include "trainer/load_model.h"
#include "trainer/recommend.h"

namespace seqrank {

struct StreamAnswers {
  std::int64_t answers = 0;
  std::int64_t errors = 0;      // of these, lines that could not be answered
  std::vector<double> seconds;  // from the whole line to the printed answer; of errors none
};

// A line of `in` is a JSON object: {"items": [KEY, ...]}, the newest last, with "times": [SECONDS,
// ...] where the model reads times, or {"user": KEY} of the data set, which a model that reads
// more of events needs; "id" (any value) comes back in the answer, "k" overrides options.k. Other
// keys are errors. Where "items" is empty, what is popular in the scene "domain" of the data set
// (without it: in all) is the answer; a user without events is answered so, too. The answer is
// {"id", "items": [{"item", "title", "score"}, ...]} or {"id", "error": TEXT}; blank lines are
// passed over. Ends with the input.
//
// Where the model's tables are split (exchange), all ranks answer together: rank 0 of `comm`, the
// hosts', reads the lines for all of them, and prints. What is wrong with a line they all find.
// Throws Error(data) on all of them where some find what others do not: trouble of their own.
StreamAnswers answer_stream(Context& ctx, Communicator& comm, const LoadedModel& loaded,
                            const Dataset& dataset, const RecommendOptions& options,
                            std::istream& in);

// Milliseconds below which `share` of the answers came.
double latency_ms(const StreamAnswers& answers, double share);

}  // namespace seqrank
