// What all evaluations have in common: the precision, the questions, the time taken.
#include "trainer/evaluate.h"

#include <chrono>

#include "data/event_columns.h"
#include "trainer/evaluate_kinds.h"
#include "trainer/gradient_exchange.h"

namespace seqrank {
namespace {

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

}  // namespace

void check_can_answer(const Model& model, ProtocolKind protocol) {
  SR_CHECK(protocol != ProtocolKind::ctr || dynamic_cast<const ClickModel*>(&model) != nullptr,
           ErrorKind::usage,
           "protocol ctr: the model ranks items and does not say how likely a click is; take one "
           "that does, or another protocol");
}

void check_can_answer_split(Model& model) {
  SR_CHECK(state_ranker(model) != nullptr, ErrorKind::usage,
           "--table.split: this model scores items by more than a state and their vectors, which "
           "does not do with a table that is split or not in memory; give --table.split=no and "
           "--table.tier=memory, or train without --train.evaluate_every");
}

Evaluation evaluate(Context& ctx, Communicator& comm, Model& model, const Protocol& protocol,
                    const EvaluateOptions& options, GradientExchange* exchange) {
  return *evaluate_unless(
      ctx, comm, model, protocol, options, [] { return false; }, exchange);
}

std::optional<Evaluation> evaluate_unless(Context& ctx, Communicator& comm, Model& model,
                                          const Protocol& protocol, const EvaluateOptions& options,
                                          const std::function<bool()>& stop,
                                          GradientExchange* exchange) {
  const auto started = std::chrono::steady_clock::now();
  check_can_answer(model, protocol.kind());
  if (exchange != nullptr && exchange->splits_tables()) check_can_answer_split(model);
  const InFp32 in_fp32(ctx);
  const Questions questions(protocol, options.split);
  SR_CHECK(questions.count() > 0, ErrorKind::data,
           "{}: no sequence has a {} target under protocol {}; p1 needs sequences of at least 3 "
           "events, ctr of 10",
           protocol.dataset().path(), split_name(options.split), protocol_name(protocol.kind()));
  auto result = protocol.kind() == ProtocolKind::ctr
                    ? evaluate_clicks(ctx, comm, model, questions, options, stop)
                    : evaluate_ranking(ctx, comm, model, questions, options, stop, exchange);
  if (!result) return result;
  result->protocol = protocol_name(protocol.kind());
  result->split = split_name(options.split);
  result->selection = selection_metric(protocol.kind());
  result->ranks = comm.size();
  result->sequence_Q.clear();
  for (std::int64_t q = 0; q < questions.count(); ++q) {
    const std::int64_t sequence = questions.at(q).sequence;
    result->sequences += result->sequence_Q.empty() || result->sequence_Q.back() != sequence;
    result->sequence_Q.push_back(sequence);
  }
  result->seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return result;
}

// Windows as TrainingWindows cuts them, from the end; but a sequence's only event is one, too.
void fit_counts(CountingModel& model, const Protocol& protocol, std::int64_t max_length) {
  const Dataset& dataset = protocol.dataset();
  const bool times = model.needs().times;
  check_columns(dataset, model.needs(), max_length);
  std::vector<std::int32_t> item_E;
  std::vector<std::int64_t> time_E;
  bool any_follows = false;
  for (std::int64_t s = 0; s < dataset.sequences(); ++s) {
    const std::int64_t events = protocol.training_events(s);
    if (events == 0) continue;
    any_follows |= events > 1;
    item_E.resize(events);
    dataset.read_items(dataset.begin(s), item_E);
    time_E.resize(times ? events : 0);
    if (times) dataset.read_times(dataset.begin(s), time_E);
    const std::int64_t first = events > 1 ? 2 + (events - 2) % max_length : 1;
    for (std::int64_t begin = 0, end = first; end <= events; begin = end - 1, end += max_length) {
      const auto count = static_cast<std::size_t>(end - begin);
      model.observe({std::span(item_E).subspan(begin, count),
                     times ? std::span(time_E).subspan(begin, count) : std::span(time_E),
                     begin > 0 ? std::size_t{1} : 0});
    }
  }
  SR_CHECK(any_follows, ErrorKind::data,
           "{}: has nothing to count: no sequence has two events that protocol {} leaves for "
           "training",
           dataset.path(), protocol_name(protocol.kind()));
}

}  // namespace seqrank
