// The best next items for given people, with keys and titles.
#pragma once

#include <string>
#include <vector>

#include "trainer/evaluate.h"

namespace seqrank {

struct RecommendedItem {
  std::int64_t item;
  std::string key;
  std::string title;
  float score;
};

struct Recommendation {
  std::string user;
  std::vector<std::string> recent;  // titles of the last items of the history, newest last
  std::vector<RecommendedItem> items;
};

// users: keys as in the data set. Throws Error(usage) for an unknown one. One rank.
std::vector<Recommendation> recommend(Context& ctx, Model& model, const Dataset& dataset,
                                      const std::vector<std::string>& users, std::int64_t k,
                                      const EvaluateOptions& options);

}  // namespace seqrank
