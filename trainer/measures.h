// What ranks, scores and lists of recommendations are worth, as plain arithmetic: no model, no data
// set. Means are over questions unless a name says otherwise; every sum is in order.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace seqrank {

using Metrics = std::map<std::string, double>;

inline constexpr std::array<std::int64_t, 4> kCutoffs = {1, 5, 10, 20};

// Of a target at this rank (from 1): 1 / log2(1 + rank), 0 below k.
double ndcg_at(std::int64_t k, std::int32_t rank);

// One target a question, at its rank from 1. For k of kCutoffs: "hr@k" = recall@k, the share of
// targets among the first k; "ndcg@k"; "mrr@k", 1 / rank or 0; "precision@k", 1 / k where the
// target is found; "f1@k", the harmonic mean of both. "accuracy" = hr@1.
Metrics ranking_metrics(std::span<const std::int32_t> rank_Q);

// The share of pairs of a positive and a negative in which the positive has the higher score; equal
// scores count half. Nothing where all labels are alike.
std::optional<double> auc(std::span<const float> score_N, std::span<const std::uint8_t> label_N);
// -log of the probability that a logit gives to a label.
double log_loss(float logit, bool label);

// Click-through: logits and labels of events, those of one user together. "auc"; "auc_per_user",
// the mean over users who have both labels; "log_loss"; "accuracy" and "f1" (of label 1) of the
// guess that logit > 0 means 1; "positive_share" of the labels. Labels must not all be alike.
Metrics click_metrics(std::span<const float> logit_Q, std::span<const std::uint8_t> label_Q,
                      std::span<const std::int64_t> user_Q);

// Where the values of a user end that begin at `begin`.
std::size_t end_of_user(std::span<const std::int64_t> user_Q, std::size_t begin);

}  // namespace seqrank
