// Sums over questions, in order.
#include "trainer/measures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "backend/check.h"

namespace seqrank {

double ndcg_at(std::int64_t k, std::int32_t rank) {
  return rank > k ? 0 : 1 / std::log2(1.0 + rank);
}

Metrics ranking_metrics(std::span<const std::int32_t> rank_Q) {
  Metrics metrics;
  const double n = static_cast<double>(rank_Q.size());
  for (const std::int64_t k : kCutoffs) {
    double hits = 0, gain = 0, reciprocal = 0;
    for (const std::int32_t rank : rank_Q) {
      if (rank > k) continue;
      hits += 1;
      gain += ndcg_at(k, rank);
      reciprocal += 1.0 / rank;
    }
    metrics[fmt::format("hr@{}", k)] = hits / n;
    metrics[fmt::format("ndcg@{}", k)] = gain / n;
    metrics[fmt::format("mrr@{}", k)] = reciprocal / n;
    metrics[fmt::format("precision@{}", k)] = hits / n / static_cast<double>(k);
    // Of one question: 2 (1/k) 1 / (1/k + 1) where the target is found.
    metrics[fmt::format("f1@{}", k)] = 2 * hits / n / static_cast<double>(k + 1);
  }
  metrics["accuracy"] = metrics.at("hr@1");
  return metrics;
}

std::optional<double> auc(std::span<const float> score_N, std::span<const std::uint8_t> label_N) {
  SR_ASSERT(score_N.size() == label_N.size(), "{} scores, {} labels", score_N.size(),
            label_N.size());
  std::vector<std::size_t> order(score_N.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return score_N[i]; });
  double positives = 0, won = 0, below = 0;  // negatives that score less
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    double tied_positives = 0, tied_negatives = 0;
    for (; end < order.size() && score_N[order[end]] == score_N[order[begin]]; ++end)
      (label_N[order[end]] ? tied_positives : tied_negatives) += 1;
    won += tied_positives * (below + tied_negatives / 2);
    positives += tied_positives;
    below += tied_negatives;
  }
  if (positives == 0 || below == 0) return std::nullopt;
  return won / (positives * below);
}

double log_loss(float logit, bool label) {
  const double x = label ? -static_cast<double>(logit) : static_cast<double>(logit);
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

std::size_t end_of_user(std::span<const std::int64_t> user_Q, std::size_t begin) {
  std::size_t end = begin;
  while (end < user_Q.size() && user_Q[end] == user_Q[begin]) ++end;
  return end;
}

Metrics click_metrics(std::span<const float> logit_Q, std::span<const std::uint8_t> label_Q,
                      std::span<const std::int64_t> user_Q) {
  double loss = 0, right = 0, positives = 0, guessed = 0, found = 0;
  for (std::size_t q = 0; q < logit_Q.size(); ++q) {
    const bool guess = logit_Q[q] > 0, label = label_Q[q] != 0;
    loss += log_loss(logit_Q[q], label);
    right += guess == label;
    positives += label;
    guessed += guess;
    found += guess && label;
  }
  double user_sum = 0, users = 0;
  for (std::size_t begin = 0, end = 0; begin < user_Q.size(); begin = end) {
    end = end_of_user(user_Q, begin);
    const auto one = auc(logit_Q.subspan(begin, end - begin), label_Q.subspan(begin, end - begin));
    if (one) user_sum += *one, users += 1;
  }
  const double n = static_cast<double>(logit_Q.size());
  Metrics metrics = {{"auc", auc(logit_Q, label_Q).value()},
                     {"log_loss", loss / n},
                     {"accuracy", right / n},
                     {"f1", positives + guessed > 0 ? 2 * found / (positives + guessed) : 0},
                     {"positive_share", positives / n}};
  if (users > 0) metrics["auc_per_user"] = user_sum / users;
  return metrics;
}

}  // namespace seqrank
