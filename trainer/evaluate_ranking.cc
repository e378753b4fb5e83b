// Every rank answers its share of the questions; the answers of all are summed into one table, and
// the metrics are computed from that in one order: the same numbers, bit for bit, at any number of
// ranks that gives the same scores.
#include <algorithm>

#include "backend/ops/top_k.h"
#include "backend/transfer.h"
#include "trainer/evaluate_kinds.h"
#include "trainer/gradient_exchange.h"
#include "trainer/table_scan.h"

namespace seqrank {
namespace {

// Answers questions [begin, end).
void answer_block(Context& ctx, Model& model, const Questions& questions,
                  const EvaluateOptions& options, std::int64_t begin, std::int64_t end,
                  Answers& answers) {
  const auto [part, score_BV] =
      score_block(ctx, model, questions, options, begin, end, Targets::spared);
  const std::int64_t rows = end - begin, best = answers.best();
  Tensor rank_B = ctx.empty(DType::i32, {rows});
  Tensor tied_B = ctx.empty(DType::i32, {rows});
  rank_of(ctx, rank_B, tied_B, score_BV, part.target_B);
  const Tensor host_rank_B = to_host(ctx, rank_B), host_tied_B = to_host(ctx, tied_B);
  Tensor host_best_BK;
  if (best > 0) {
    Tensor value_BK = ctx.empty(DType::f32, {rows, best}),
           best_BK = ctx.empty(DType::i32, {rows, best});
    top_k(ctx, value_BK, best_BK, score_BV);
    host_best_BK = to_host(ctx, best_BK);
  }
  for (std::int64_t b = 0; b < rows; ++b) {
    std::span<const std::int32_t> best_K;
    if (best > 0) best_K = host_best_BK.span<std::int32_t>().subspan(b * best, best);
    answers.set(begin + b,
                {host_rank_B.data<std::int32_t>()[b], host_tied_B.data<std::int32_t>()[b], best_K});
  }
}

// Those of this rank.
void answer_alone(Context& ctx, const Communicator& comm, Model& model, const Questions& questions,
                  const EvaluateOptions& options, const std::function<bool()>& stop,
                  Answers& answers) {
  const std::int64_t block = questions_a_block(questions);
  const auto own = Communicator::piece_range(questions.count(), comm.rank(), comm.size());
  for (std::int64_t begin = own.begin; begin < own.end; begin += block) {
    if (stop()) {
      answers.gave_up() = 1;
      return;
    }
    answer_block(ctx, model, questions, options, begin, std::min(own.end, begin + block), answers);
  }
}

// The items that are to be found: those of the events that follow, once each, and of them only what
// may be ranked.
std::vector<std::int32_t> following_items(const Dataset& dataset, const Question& question,
                                          Seen seen) {
  std::vector<std::int32_t> following(question.following), history(question.history_events);
  dataset.read_items(question.target(), following);
  std::ranges::sort(following);
  following.erase(std::ranges::unique(following).begin(), following.end());
  if (seen == Seen::kept) return following;
  std::int32_t target = 0;
  dataset.read_items(question.target(), {&target, 1});
  dataset.read_items(question.history_begin, history);
  std::ranges::sort(history);
  std::erase_if(following, [&](std::int32_t item) {
    return item != target && std::ranges::binary_search(history, item);
  });
  return following;
}

void add_recall(Evaluation& result, const Questions& questions, const Answers& answers, Seen seen) {
  for (std::int64_t k : kCutoffs) result.metrics[fmt::format("recall@{}", k)] = 0;
  for (std::int64_t q = 0; q < questions.count(); ++q) {
    const auto following = following_items(questions.dataset(), questions.at(q), seen);
    const auto best_K = answers.at(q).best_K;
    for (std::int64_t k : kCutoffs) {
      const auto found = std::ranges::count_if(best_K.first(k), [&](std::int32_t item) {
        return std::ranges::binary_search(following, item);
      });
      result.metrics[fmt::format("recall@{}", k)] +=
          static_cast<double>(found) / static_cast<double>(following.size());
    }
  }
  for (std::int64_t k : kCutoffs)
    result.metrics[fmt::format("recall@{}", k)] /= static_cast<double>(questions.count());
}

// Where all scores of a question leave room for few questions, a large table would be read from far
// away for each of these few; by states it is read for many, and twice is less.
bool scores_little_at_once(Model& model, const Questions& questions) {
  return state_ranker(model) != nullptr && questions_a_block(questions) < TableScan::kStates;
}

}  // namespace

std::int64_t questions_a_block(const Questions& questions) {
  const std::int64_t items = std::max<std::int64_t>(1, questions.dataset().items());
  return std::clamp<std::int64_t>(kScoreElements / items, 1, 256);
}

ScoredBlock score_block(Context& ctx, Model& model, const Questions& questions,
                        const EvaluateOptions& options, std::int64_t begin, std::int64_t end,
                        Targets targets) {
  ScoredBlock block;
  block.part = to_device(ctx, evaluation_batch(questions, ctx.host_arena(), begin, end,
                                               options.max_length, model.needs()));
  block.score_BV = ctx.empty(DType::f32, {end - begin, questions.dataset().items()});
  model.score_next(ctx, block.part.batch, block.score_BV);
  if (options.seen == Seen::masked)
    mask_items(ctx, block.score_BV, block.part.seen_M, block.part.seen_offset_B1,
               targets == Targets::spared ? block.part.target_B : Tensor());
  return block;
}

std::optional<Evaluation> evaluate_ranking(Context& ctx, Communicator& comm, Model& model,
                                           const Questions& questions,
                                           const EvaluateOptions& options,
                                           const std::function<bool()>& stop,
                                           GradientExchange* exchange) {
  const bool sets = questions.protocol().kind() == ProtocolKind::temporal;
  Answers answers(ctx, questions.count(), sets ? kCutoffs.back() : 0);
  const bool splits = exchange != nullptr && exchange->splits_tables();
  if (splits || scores_little_at_once(model, questions))
    answer_by_states(ctx, comm, model, questions, options, Targets::spared, stop, exchange,
                     answers);
  else
    answer_alone(ctx, comm, model, questions, options, stop, answers);
  answers.sum(comm);
  if (answers.gave_up() > 0) return std::nullopt;

  Evaluation result;
  for (std::int64_t q = 0; q < questions.count(); ++q) {
    result.rank_Q.push_back(answers.at(q).rank);
    result.ties += answers.at(q).tied;
  }
  result.metrics = ranking_metrics(result.rank_Q);
  if (sets) add_recall(result, questions, answers, options.seen);
  return result;
}

}  // namespace seqrank
