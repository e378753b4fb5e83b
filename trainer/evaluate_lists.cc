// Every rank makes the lists of its share of the questions; all lists are then on every rank.
#include "trainer/evaluate_lists.h"

#include <algorithm>
#include <iterator>

#include "backend/ops/top_k.h"
#include "backend/transfer.h"
#include "trainer/cold_start.h"
#include "trainer/evaluate_kinds.h"

namespace seqrank {
namespace {

constexpr std::int64_t kListed = 10;

// Of each question, the mean over its history of what events_V says. Histories of a sequence grow.
std::vector<double> means_over_histories(const Questions& questions,
                                         std::span<const std::int64_t> events_V) {
  std::vector<double> mean_Q;
  std::vector<std::int32_t> items;
  std::int64_t sequence = -1, done = 0;
  double sum = 0;
  for (std::int64_t q = 0; q < questions.count(); ++q) {
    const Question question = questions.at(q);
    if (question.sequence != sequence) sequence = question.sequence, done = 0, sum = 0;
    items.resize(question.history_events - done);
    questions.dataset().read_items(question.history_begin + done, items);
    for (const std::int32_t item : items) sum += static_cast<double>(events_V[item]);
    done = question.history_events;
    mean_Q.push_back(sum / static_cast<double>(done));
  }
  return mean_Q;
}

std::vector<std::int32_t> categories(const Dataset& dataset, const std::string& name) {
  if (name.empty()) return {};
  std::string names;
  for (const Feature& feature : dataset.features(FeatureOf::item)) {
    if (feature.values == 0) continue;
    names += (names.empty() ? "" : ", ") + feature.name;
    if (feature.name != name) continue;
    std::vector<std::int32_t> category_V(dataset.items());
    dataset.read_feature(FeatureOf::item, name, 0, category_V);
    return category_V;
  }
  throw Error(ErrorKind::usage, fmt::format("{}: its items have no categories {}; they have: {}",
                                            dataset.path(), name, names));
}

// The best items for questions [begin, end).
void list_block(Context& ctx, Model& model, const Questions& questions,
                const EvaluateOptions& options, std::int64_t begin, std::int64_t end,
                Answers& answers) {
  const std::int64_t rows = end - begin;
  const Tensor score_BV =
      score_block(ctx, model, questions, options, begin, end, Targets::as_seen).score_BV;
  Tensor value_BK = ctx.empty(DType::f32, {rows, kListed});
  Tensor best_BK = ctx.empty(DType::i32, {rows, kListed});
  top_k(ctx, value_BK, best_BK, score_BV);
  const Tensor host_best_BK = to_host(ctx, best_BK);
  for (std::int64_t b = 0; b < rows; ++b)
    answers.set(begin + b, {0, 0, host_best_BK.span<std::int32_t>().subspan(b * kListed, kListed)});
}

}  // namespace

Known known_of(const Questions& questions) {
  const auto events_V = training_events_by_item(questions.protocol());
  Known known;
  for (std::int64_t q = 0; q < questions.count(); ++q) {
    const Question question = questions.at(q);
    std::int32_t target = 0;
    questions.dataset().read_items(question.target(), {&target, 1});
    known.history_Q.push_back(question.history_events);
    known.target_events_Q.push_back(events_V[target]);
  }
  known.new_people_rank = ranks_of_new_people(questions.protocol(), questions.split());
  return known;
}

Metrics evaluate_lists(Context& ctx, Communicator& comm, Model& model, const Protocol& protocol,
                       const EvaluateOptions& options, const std::string& category,
                       GradientExchange* exchange) {
  const Questions questions(protocol, options.split);
  const auto category_V = categories(protocol.dataset(), category);
  Answers answers(ctx, questions.count(), kListed);
  if (state_ranker(model) != nullptr) {
    answer_by_states(
        ctx, comm, model, questions, options, Targets::as_seen, [] { return false; }, exchange,
        answers);
  } else {
    const std::int64_t block = questions_a_block(questions);
    const auto own = Communicator::piece_range(questions.count(), comm.rank(), comm.size());
    for (std::int64_t begin = own.begin; begin < own.end; begin += block)
      list_block(ctx, model, questions, options, begin, std::min(own.end, begin + block), answers);
  }
  answers.sum(comm);  // each question was answered by one rank
  std::vector<std::int32_t> best_QK;
  for (std::int64_t q = 0; q < questions.count(); ++q)
    std::ranges::copy(answers.at(q).best_K, std::back_inserter(best_QK));
  const auto events_V = training_events_by_item(protocol);
  return list_metrics({best_QK, kListed}, events_V, means_over_histories(questions, events_V),
                      category_V);
}

}  // namespace seqrank
