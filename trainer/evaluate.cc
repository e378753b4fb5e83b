// Protocol p1 over ranks. Every rank ranks its share of the sequences; the ranks of all are summed
// into one vector, and the metrics are computed from that in one order: the same numbers, bit for
// bit, at any number of ranks that gives the same scores.
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

// Writes rank and tie count of the targets of sequences [begin, end) to their places.
void rank_block(Context& ctx, Model& model, const Dataset& dataset, const EvaluateOptions& options,
                std::int64_t begin, std::int64_t end, std::span<std::int32_t> rank_S,
                std::span<std::int32_t> tied_S) {
  const EvaluationBatch part =
      to_device(ctx, evaluation_batch(dataset, ctx.host_arena(), options.split, begin, end,
                                      options.max_length, model.needs()));
  const std::int64_t rows = part.batch.sequences;
  if (rows == 0) return;
  Tensor score_BV = ctx.empty(DType::f32, {rows, dataset.items()});
  model.score_next(ctx, part.batch, score_BV);
  if (options.seen == Seen::masked)
    mask_items(ctx, score_BV, part.seen_M, part.seen_offset_B1, part.target_B);
  Tensor rank_B = ctx.empty(DType::i32, {rows});
  Tensor tied_B = ctx.empty(DType::i32, {rows});
  rank_of(ctx, rank_B, tied_B, score_BV, part.target_B);
  const Tensor host_rank_B = to_host(ctx, rank_B), host_tied_B = to_host(ctx, tied_B);
  for (std::int64_t b = 0; b < rows; ++b) {
    rank_S[part.batch.sequence_B[b]] = host_rank_B.data<std::int32_t>()[b];
    tied_S[part.batch.sequence_B[b]] = host_tied_B.data<std::int32_t>()[b];
  }
}

void add_metrics(Evaluation& result) {
  for (std::int64_t k : kCutoffs) {
    double hits = 0, gain = 0, reciprocal = 0;
    for (std::int32_t rank : result.rank_S) {
      if (rank == 0 || rank > k) continue;
      hits += 1;
      gain += 1 / std::log2(1.0 + rank);
      reciprocal += 1.0 / rank;
    }
    const double n = static_cast<double>(result.sequences);
    result.metrics[fmt::format("hr@{}", k)] = hits / n;
    result.metrics[fmt::format("ndcg@{}", k)] = gain / n;
    result.metrics[fmt::format("mrr@{}", k)] = reciprocal / n;
  }
}

}  // namespace

bool has_targets(const Dataset& dataset) {
  for (std::int64_t s = 0; s < dataset.sequences(); ++s)
    if (dataset.length(s) >= 3) return true;  // protocol p1
  return false;
}

Evaluation evaluate(Context& ctx, Communicator& comm, Model& model, const Dataset& dataset,
                    const EvaluateOptions& options) {
  return *evaluate_unless(ctx, comm, model, dataset, options, [] { return false; });
}

std::optional<Evaluation> evaluate_unless(Context& ctx, Communicator& comm, Model& model,
                                          const Dataset& dataset, const EvaluateOptions& options,
                                          const std::function<bool()>& stop) {
  const auto started = std::chrono::steady_clock::now();
  const InFp32 in_fp32(ctx);
  const std::int64_t sequences = dataset.sequences();
  // Ranks, ties, and how many ranks gave up: one message.
  Tensor sums(ctx.host_arena(), DType::i32, {2 * sequences + 1}, Tag::workspace);
  std::ranges::fill(sums.span<std::int32_t>(), 0);
  const auto rank_S = sums.span<std::int32_t>().first(sequences);
  const auto tied_S = sums.span<std::int32_t>().subspan(sequences, sequences);
  std::int32_t& gave_up = sums.span<std::int32_t>().back();

  const std::int64_t block =
      std::clamp<std::int64_t>(kScoreElements / std::max<std::int64_t>(1, dataset.items()), 1, 256);
  const auto own = Communicator::piece_range(sequences, comm.rank(), comm.size());
  for (std::int64_t begin = own.begin; begin < own.end && gave_up == 0; begin += block) {
    gave_up = stop() ? 1 : 0;
    if (gave_up == 0)
      rank_block(ctx, model, dataset, options, begin, std::min(own.end, begin + block), rank_S,
                 tied_S);
  }

  comm.all_reduce(sums, Reduce::sum);
  comm.stream().synchronize();
  if (gave_up > 0) return std::nullopt;

  Evaluation result;
  result.split = split_name(options.split);
  result.ranks = comm.size();
  result.rank_S.assign(rank_S.begin(), rank_S.end());
  for (std::int32_t rank : rank_S) result.sequences += rank > 0;
  for (std::int32_t tied : tied_S) result.ties += tied;
  SR_CHECK(result.sequences > 0, ErrorKind::data,
           "{}: no sequence has a {} target; protocol p1 needs sequences of at least 3 events",
           dataset.path(), result.split);
  add_metrics(result);
  result.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return result;
}

void fit_counts(Context& ctx, CountingModel& model, const Dataset& dataset,
                std::int64_t max_length) {
  LoaderOptions options;
  options.max_length = max_length;
  options.needs = model.needs();
  TrainLoader loader(dataset, ctx.host_arena(), options);
  for (std::int64_t step = 0; step < loader.steps_per_epoch(); ++step) model.observe(loader.next());
}

std::vector<OptionSpec> evaluate_options() {
  return {
      {"data.max_length", OptionKind::integer, "200", "events of a sequence seen at once",
       "1..1000000"},
      {"evaluate.seen", OptionKind::choice, "masked",
       "whether items of the history may be ranked again", "masked|kept"},
  };
}

EvaluateOptions evaluate_options_from(const Options& options, Split split) {
  return {split, options.text("evaluate.seen") == "kept" ? Seen::kept : Seen::masked,
          options.integer("data.max_length")};
}

}  // namespace seqrank
