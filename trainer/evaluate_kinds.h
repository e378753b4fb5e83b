// The two kinds of evaluation: items ranked, clicks scored. Only for trainer/evaluate.cc, which
// adds what both have in common.
#pragma once

#include <algorithm>

#include "trainer/evaluate.h"

namespace seqrank {

// What one question is answered with: the rank of its target, how many other items score the same,
// and the best items where they are wanted.
struct Answer {
  std::int32_t rank;
  std::int32_t tied;
  std::span<const std::int32_t> best_K;
};

// A row of whole numbers for each question, zero but where this rank fills it in, until summed.
class Answers {
 public:
  Answers(Context& ctx, std::int64_t questions, std::int64_t best)
      : best_(best),
        all_(ctx.host_arena(), DType::i32, {questions * (2 + best) + 1}, Tag::workspace) {
    std::ranges::fill(all_.span<std::int32_t>(), 0);
  }
  std::int64_t best() const { return best_; }
  void set(std::int64_t question, const Answer& answer) {
    const auto row = all_.span<std::int32_t>().subspan(question * (2 + best_), 2 + best_);
    row[0] = answer.rank;
    row[1] = answer.tied;
    std::ranges::copy(answer.best_K, row.begin() + 2);
  }
  Answer at(std::int64_t question) const {
    const auto row = all_.span<std::int32_t>().subspan(question * (2 + best_), 2 + best_);
    return {row[0], row[1], row.subspan(2)};
  }
  std::int32_t& gave_up() { return all_.span<std::int32_t>().back(); }  // how many ranks did
  void sum(Communicator& comm) {
    comm.all_reduce(all_, Reduce::sum);
    comm.stream().synchronize();
  }

 private:
  std::int64_t best_;
  Tensor all_;
};

constexpr std::int64_t kScoreElements = 4 << 20;  // of one block of scores: 16 MiB

// How many questions are scored at once.
std::int64_t questions_a_block(const Questions& questions);

// Questions [begin, end), and the scores of all items for each of them, -inf where `options` mask
// what was seen; the target is spared where it is to be ranked.
enum class Targets { spared, as_seen };
struct ScoredBlock {
  EvaluationBatch part;
  Tensor score_BV;
};
ScoredBlock score_block(Context& ctx, Model& model, const Questions& questions,
                        const EvaluateOptions& options, std::int64_t begin, std::int64_t end,
                        Targets targets);

// Both fill in the metrics and what is by question.
// exchange: see evaluate_unless().
std::optional<Evaluation> evaluate_ranking(Context& ctx, Communicator& comm, Model& model,
                                           const Questions& questions,
                                           const EvaluateOptions& options,
                                           const std::function<bool()>& stop,
                                           GradientExchange* exchange);
// All questions, by the ranks that hold a split table together; each its own where tables are
// whole. Of Targets::as_seen the best items alone. For a model that is a state_ranker().
void answer_by_states(Context& ctx, Communicator& comm, Model& model, const Questions& questions,
                      const EvaluateOptions& options, Targets targets,
                      const std::function<bool()>& stop, GradientExchange* exchange,
                      Answers& answers);
// The model is a ClickModel. Throws Error(data) where all labels are alike.
std::optional<Evaluation> evaluate_clicks(Context& ctx, Communicator& comm, Model& model,
                                          const Questions& questions,
                                          const EvaluateOptions& options,
                                          const std::function<bool()>& stop);

}  // namespace seqrank
