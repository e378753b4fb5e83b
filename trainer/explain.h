// Which events of a history a recommendation rests on: the attention that the model pays them, and
// by how much the item's score falls when one of them is left out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "trainer/recommend.h"

namespace seqrank {

struct EventEffect {
  std::string key;  // of the event's item
  std::string title;
  std::optional<double> attention;  // over the events they sum to one; of a model without: none
  double effect = 0;                // score - score without the event
};

struct Explanation {
  std::string user;
  RecommendedItem item;
  std::int64_t rank = 0;            // of the item among all that may be recommended, from 1
  std::vector<EventEffect> events;  // those that the model read, the newest last
};

// Of each user's best k items, or of `item` alone (a key) where it is given. exchange: as of
// recommend(). Throws Error(usage) for an unknown user or item, Error(data) for a history of fewer
// than two events.
std::vector<Explanation> explain(Context& ctx, Model& model, const Dataset& dataset,
                                 const std::vector<std::string>& users, std::int64_t k,
                                 const std::optional<std::string>& item,
                                 const EvaluateOptions& options,
                                 GradientExchange* exchange = nullptr);

}  // namespace seqrank
