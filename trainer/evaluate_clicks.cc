// Every rank scores its share of the windows; the logits of all are summed into one vector, and the
// metrics are computed from that in one order.
#include <algorithm>
#include <cmath>

#include "backend/transfer.h"
#include "data/click_windows.h"
#include "trainer/evaluate_kinds.h"

namespace seqrank {
namespace {

constexpr std::int64_t kEvents = 1 << 14;  // of one block, about

// The windows from `at` on that make one block.
std::vector<ClickWindow> next_block(const ClickWindows& windows, std::int64_t at,
                                    std::int64_t end) {
  std::vector<ClickWindow> block;
  for (std::int64_t events = 0; at < end && events < kEvents; ++at) {
    block.push_back(windows.at(at));
    events += block.back().inputs.events;
  }
  return block;
}

void score_block(Context& ctx, Model& model, ClickModel& clicks, const Dataset& dataset,
                 std::span<const ClickWindow> windows, std::int64_t max_length,
                 std::span<float> logit_Q) {
  const Batch batch =
      to_device(ctx, click_batch(dataset, ctx.host_arena(), windows, max_length, model.needs()));
  Tensor logit_N = ctx.empty(DType::f32, {batch.events});
  clicks.score_targets(ctx, batch, logit_N);
  const Tensor host_logit_N = to_host(ctx, logit_N);
  std::int64_t end = 0;
  for (const ClickWindow& window : windows) {
    end += window.inputs.events;
    std::ranges::copy(host_logit_N.span<float>().subspan(end - window.asked, window.asked),
                      logit_Q.begin() + window.first_question);
  }
}

std::vector<std::uint8_t> labels_of(const Questions& questions) {
  std::vector<std::uint8_t> label_Q(questions.count());
  for (std::int64_t q = 0; q < questions.count(); ++q)
    questions.dataset().read_labels(questions.at(q).target(), {&label_Q[q], 1});
  return label_Q;
}

void check_labels(const Questions& questions, std::span<const std::uint8_t> label_Q) {
  SR_CHECK(std::ranges::find(label_Q, 0) != label_Q.end() &&
               std::ranges::find(label_Q, 1) != label_Q.end(),
           ErrorKind::data, "{}: the labels of the {} targets are all alike",
           questions.dataset().path(), split_name(questions.split()));
}

}  // namespace

std::optional<Evaluation> evaluate_clicks(Context& ctx, Communicator& comm, Model& model,
                                          const Questions& questions,
                                          const EvaluateOptions& options,
                                          const std::function<bool()>& stop) {
  Evaluation result;
  result.label_Q = labels_of(questions);
  check_labels(questions, result.label_Q);
  // Logits, and how many ranks gave up: one message.
  Tensor sums(ctx.host_arena(), DType::f32, {questions.count() + 1}, Tag::workspace);
  std::ranges::fill(sums.span<float>(), 0.0f);
  const auto logit_Q = sums.span<float>().first(questions.count());
  float& gave_up = sums.span<float>().back();
  const ClickWindows windows(questions, options.max_length);
  const auto own = Communicator::piece_range(windows.count(), comm.rank(), comm.size());
  for (std::int64_t at = own.begin; at < own.end;) {
    if (stop()) {
      gave_up = 1;
      break;
    }
    const auto block = next_block(windows, at, own.end);
    score_block(ctx, model, dynamic_cast<ClickModel&>(model), questions.dataset(), block,
                options.max_length, logit_Q);
    at += static_cast<std::int64_t>(block.size());
  }
  comm.all_reduce(sums, Reduce::sum);
  comm.stream().synchronize();
  if (gave_up > 0) return std::nullopt;

  for (std::int64_t q = 0; q < questions.count(); ++q) {
    // Not a number: as wrong as can be.
    const float wrong = result.label_Q[q] ? -HUGE_VALF : HUGE_VALF;
    result.logit_Q.push_back(std::isnan(logit_Q[q]) ? wrong : logit_Q[q]);
    result.sequence_Q.push_back(questions.at(q).sequence);
  }
  result.metrics = click_metrics(result.logit_Q, result.label_Q, result.sequence_Q);
  return result;
}

}  // namespace seqrank
