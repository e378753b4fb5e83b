// Results of `evaluate` beyond one number a model: what its lists are like, and how it does by the
// popularity of items and the length of histories.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "launch/report.h"

namespace seqrank {

// How questions are grouped: "popularity", by the training events of the item asked for, or
// "history", by the events before it.
bool is_grouping(const std::string& by);

// A line each: coverage, Gini, novelty, popularity lift, diversity of the ten best.
std::string lists_table(const std::vector<EvaluatedModel>& results);
// A line a group, a column a model. People without history, whom models are not asked of, are
// answered with what is popular in their scene.
std::string groups_table(const std::vector<EvaluatedModel>& results, const Known& known,
                         const std::string& by);
// A list of groups with their metrics; means over seeds.
nlohmann::ordered_json groups_json(const EvaluatedModel& model, const Known& known,
                                   const std::string& by);

}  // namespace seqrank
