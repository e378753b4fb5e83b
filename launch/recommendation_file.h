// Recommendations for programs to read: .csv and .jsonl a line an item or a person, .h5 a data set
// whose sequences are what is recommended.
#pragma once

#include <span>
#include <string>

#include "data/dataset.h"
#include "trainer/recommend.h"

namespace seqrank {

// Throws Error(usage) for another ending.
void check_recommendation_file(const std::string& path);

// .csv    user,place,item,title,score; quoted where needed (RFC 4180), with a header
// .jsonl  {"user", "items": [{"item", "title", "score"}, ...]} a line
// .h5     as `seqrank prepare` writes: a sequence a person, /event/feature/score, and the keys and
//         titles of `dataset`
// The file is there whole or not at all. Throws Error(data) where it cannot be written.
void write_recommendations(const std::string& path, const Dataset& dataset,
                           std::span<const Recommendation> recommendations);

// {"item", "title", "score"} of each, as text.
std::string items_json(std::span<const RecommendedItem> items);

}  // namespace seqrank
