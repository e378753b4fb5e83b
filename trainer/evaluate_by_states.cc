// Ranking by states: the ranks that hold a table together answer their questions together, round by
// round. Each makes the states of its own, and all of them meet the rows (trainer/table_scan.h). A
// rank whose table is whole does the same alone.
#include <algorithm>
#include <vector>

#include "trainer/evaluate_kinds.h"
#include "trainer/table_scan.h"

namespace seqrank {
namespace {

// The questions of one rank of the group go to asked[first], asked[first + 1], ...
void ask(const EvaluationBatch& part, Seen seen, Targets targets, std::span<Asked> asked) {
  const auto target_B = part.target_B.span<std::int32_t>();
  const auto offset_B1 = part.seen_offset_B1.span<std::int32_t>();
  const auto seen_M = part.seen_M.span<std::int32_t>();
  for (std::size_t b = 0; b < target_B.size(); ++b) {
    if (targets == Targets::spared) asked[b].target = target_B[b];
    if (seen == Seen::kept) continue;
    for (std::int32_t m = offset_B1[b]; m < offset_B1[b + 1]; ++m)
      if (seen_M[m] != asked[b].target) asked[b].hidden.push_back(seen_M[m]);
  }
}

// Of rank r in a round.
Communicator::Range questions_of(const Communicator& comm, std::int64_t questions, int rank,
                                 std::int64_t done, std::int64_t a_rank) {
  const auto own = Communicator::piece_range(questions, rank, comm.size());
  const std::int64_t begin = std::min(own.begin + done, own.end);
  return {begin, std::min(begin + a_rank, own.end)};
}

void keep(const Asked& one, std::int64_t question, Answers& answers) {
  std::vector<std::int32_t> best;
  for (const ScoredItem& scored : one.best) best.push_back(scored.item);
  best.resize(answers.best(), -1);
  answers.set(question, {one.rank, one.tied, best});
}

}  // namespace

void answer_by_states(Context& ctx, Communicator& comm, Model& model, const Questions& questions,
                      const EvaluateOptions& options, Targets targets,
                      const std::function<bool()>& stop, GradientExchange* exchange,
                      Answers& answers) {
  TableScan scan(ctx, *state_ranker(model), exchange);
  const TableRanks& ranks = scan.ranks();
  const std::int64_t a_rank = std::max<std::int64_t>(TableScan::kStates / ranks.count(), 1);
  const std::int64_t most = Communicator::piece_range(questions.count(), 0, comm.size()).end;
  for (std::int64_t done = 0; done < most; done += a_rank) {
    if (comm.all_reduce_value(std::int64_t{stop()}, Reduce::max) > 0) {
      answers.gave_up() = 1;
      return;
    }
    std::vector<Asked> asked(ranks.count() * a_rank);
    Communicator::Range mine{};
    Tensor state_ND;
    for (int place = 0; place < ranks.count(); ++place) {
      const int rank = ranks.count() == 1 ? comm.rank() : ranks.ranks[place];
      const auto range = questions_of(comm, questions.count(), rank, done, a_rank);
      const bool own = place == ranks.place;
      const EvaluationBatch part =
          evaluation_batch(questions, ctx.host_arena(), range.begin, range.end,
                           own ? options.max_length : 1, own ? model.needs() : BatchNeeds());
      ask(part, options.seen, targets, std::span(asked).subspan(place * a_rank));
      if (!own) continue;
      mine = range;
      state_ND = scan.gathered(scan.own_states(part.batch), a_rank);
    }
    asked.resize(state_ND.dim(0));
    scan.answer(state_ND, asked, answers.best());
    for (std::int64_t q = mine.begin; q < mine.end; ++q)
      keep(asked[ranks.place * a_rank + q - mine.begin], q, answers);
  }
}

}  // namespace seqrank
