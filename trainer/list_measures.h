// What lists of recommendations are worth besides hits, and results by groups of questions: plain
// arithmetic, as trainer/measures.h.
#pragma once

#include "trainer/measures.h"

namespace seqrank {

// The best k items of each question, best first; -1 where a list is shorter.
struct Lists {
  std::span<const std::int32_t> best_QK;
  std::int64_t k = 0;
};

// events_V: training events of each item; history_events_Q: of each question the mean of events_V
// over its history; category_V: of each item, or empty.
//   "coverage@k"         share of all items that are in some list
//   "gini@k"             of how often items are in lists: 0 all alike, 1 one item alone
//   "novelty@k"          mean over places in lists of -log2((events + 1) / (all events + V)), bits
//   "popularity_lift@k"  mean of events over lists, by the mean over histories, less 1
//   "diversity@k"        share of the pairs in a list that differ in category, mean over lists of
//                        two or more; only where there are categories
Metrics list_metrics(const Lists& lists, std::span<const std::int64_t> events_V,
                     std::span<const double> history_events_Q,
                     std::span<const std::int32_t> category_V);

// A group of questions by a number: 0, 1, 2 to 4, 5 to 9, 10 to 19, 20 to 49, ...
struct Bucket {
  std::int64_t first = 0, last = 0;
  std::vector<std::size_t> questions;
};
// Those that have questions, in order.
std::vector<Bucket> buckets(std::span<const std::int64_t> value_Q);

}  // namespace seqrank
