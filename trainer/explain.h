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
  std::optional<double> attention;  // of a model that attends
  double effect = 0;                // score - score without the event
};

struct Explanation {
  std::string user;
  RecommendedItem item;
  std::int64_t rank = 0;            // of the item among all that may be recommended, from 1; 0: the
                                    // model ranks no catalogue
  bool attention_is_shares = true;  // it sums to one over the events; else it is any numbers
  std::vector<EventEffect> events;  // those that the model read, the newest last
};

// Of each user's best k items, or of `item` alone (a key) where it is given. Scores of a click
// model are the logits of a click on the item after the whole history. exchange: as of recommend().
// Throws Error(usage) for an unknown user or item, and where none is given and the model ranks no
// catalogue; Error(data) for a history of fewer than two events.
std::vector<Explanation> explain(Context& ctx, Model& model, const Dataset& dataset,
                                 const std::vector<std::string>& users, std::int64_t k,
                                 const std::optional<std::string>& item,
                                 const EvaluateOptions& options,
                                 GradientExchange* exchange = nullptr);

}  // namespace seqrank
