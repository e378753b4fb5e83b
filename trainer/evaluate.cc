// Every rank answers its share of the questions; the answers of all are summed into one table, and
// the metrics are computed from that in one order: the same numbers, bit for bit, at any number of
// ranks that gives the same scores.
#include "trainer/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "backend/ops/top_k.h"
#include "backend/transfer.h"

namespace seqrank {
namespace {

constexpr std::int64_t kCutoffs[] = {1, 5, 10, 20};
constexpr std::int64_t kScoreElements = 4 << 20;  // of one block of scores: 16 MiB

// While it lives, whatever products training rounds: the metrics of a model do not depend on where
// and how it was trained.
class InFp32 {
 public:
  explicit InFp32(Context& ctx) : ctx_(ctx), before_(ctx.precision()) { set(Precision::fp32); }
  ~InFp32() { set(before_); }
  InFp32(const InFp32&) = delete;
  InFp32& operator=(const InFp32&) = delete;

 private:
  void set(Precision precision) {
    const std::string note = ctx_.set_precision(precision);
    SR_ASSERT(note.empty(), "evaluation: {}", note);
  }
  Context& ctx_;
  Precision before_;
};

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

// Answers questions [begin, end).
void answer_block(Context& ctx, Model& model, const Questions& questions,
                  const EvaluateOptions& options, std::int64_t begin, std::int64_t end,
                  Answers& answers) {
  const EvaluationBatch part = to_device(
      ctx,
      evaluation_batch(questions, ctx.host_arena(), begin, end, options.max_length, model.needs()));
  const std::int64_t rows = end - begin, best = answers.best();
  Tensor score_BV = ctx.empty(DType::f32, {rows, questions.dataset().items()});
  model.score_next(ctx, part.batch, score_BV);
  if (options.seen == Seen::masked)
    mask_items(ctx, score_BV, part.seen_M, part.seen_offset_B1, part.target_B);
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

void add_metrics(Evaluation& result) {
  for (std::int64_t k : kCutoffs) {
    double hits = 0, gain = 0, reciprocal = 0;
    for (std::int32_t rank : result.rank_Q) {
      if (rank > k) continue;
      hits += 1;
      gain += 1 / std::log2(1.0 + rank);
      reciprocal += 1.0 / rank;
    }
    const double n = static_cast<double>(result.rank_Q.size());
    result.metrics[fmt::format("hr@{}", k)] = hits / n;
    result.metrics[fmt::format("ndcg@{}", k)] = gain / n;
    result.metrics[fmt::format("mrr@{}", k)] = reciprocal / n;
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

}  // namespace

Evaluation evaluate(Context& ctx, Communicator& comm, Model& model, const Protocol& protocol,
                    const EvaluateOptions& options) {
  return *evaluate_unless(ctx, comm, model, protocol, options, [] { return false; });
}

std::optional<Evaluation> evaluate_unless(Context& ctx, Communicator& comm, Model& model,
                                          const Protocol& protocol, const EvaluateOptions& options,
                                          const std::function<bool()>& stop) {
  const auto started = std::chrono::steady_clock::now();
  const InFp32 in_fp32(ctx);
  const Dataset& dataset = protocol.dataset();
  const Questions questions(protocol, options.split);
  SR_CHECK(questions.count() > 0, ErrorKind::data,
           "{}: no sequence has a {} target under protocol {}; p1 needs sequences of at least 3 "
           "events, ctr of 10",
           dataset.path(), split_name(options.split), protocol_name(protocol.kind()));
  const bool sets = protocol.kind() == ProtocolKind::temporal;
  Answers answers(ctx, questions.count(), sets ? *std::ranges::max_element(kCutoffs) : 0);

  const std::int64_t block =
      std::clamp<std::int64_t>(kScoreElements / std::max<std::int64_t>(1, dataset.items()), 1, 256);
  const auto own = Communicator::piece_range(questions.count(), comm.rank(), comm.size());
  for (std::int64_t begin = own.begin; begin < own.end; begin += block) {
    if (stop()) {
      answers.gave_up() = 1;
      break;
    }
    answer_block(ctx, model, questions, options, begin, std::min(own.end, begin + block), answers);
  }
  answers.sum(comm);
  if (answers.gave_up() > 0) return std::nullopt;

  Evaluation result;
  result.protocol = protocol_name(protocol.kind());
  result.split = split_name(options.split);
  result.ranks = comm.size();
  for (std::int64_t q = 0; q < questions.count(); ++q) {
    const std::int64_t sequence = questions.at(q).sequence;
    result.sequences += result.sequence_Q.empty() || result.sequence_Q.back() != sequence;
    result.sequence_Q.push_back(sequence);
    result.rank_Q.push_back(answers.at(q).rank);
    result.ties += answers.at(q).tied;
  }
  add_metrics(result);
  if (sets) add_recall(result, questions, answers, options.seen);
  result.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return result;
}

void fit_counts(Context& ctx, CountingModel& model, const Protocol& protocol,
                std::int64_t max_length) {
  LoaderOptions options;
  options.max_length = max_length;
  options.needs = model.needs();
  TrainLoader loader(protocol, ctx.host_arena(), options);
  for (std::int64_t step = 0; step < loader.steps_per_epoch(); ++step) model.observe(loader.next());
}

}  // namespace seqrank
