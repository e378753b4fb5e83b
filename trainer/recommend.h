// The best next items for given people, with keys and titles.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "trainer/cold_start.h"
#include "trainer/evaluate.h"
#include "trainer/people.h"

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

// Counted when a person without history is asked about first: there may be none.
using PopularityOnDemand = std::function<const ScenePopularity&()>;

struct RecommendOptions {
  std::int64_t k = 10;
  Seen seen = Seen::masked;
  std::int64_t max_length = 200;
  std::optional<std::vector<std::int32_t>> candidates;  // ids that may be recommended; absent: all
  // Share of how unlike the items are in what is maximised: of the items left, the one with the
  // largest (1 - diversity) relevance - diversity (largest cosine with an item taken before), where
  // relevance is the score, scaled to [0, 1] over the best 10 k (maximal marginal relevance:
  // Carbonell and Goldstein, SIGIR 1998). 0: by score alone.
  double diversity = 0;
  // Of the items; needed for diversity by models that are no state_ranker(): those have their own.
  Tensor vector_VD;
  PopularityOnDemand popularity = {};  // needed where somebody has no history
};

// For somebody without history: the items with the most training events in a scene (< 0: in all),
// which are their scores; at most k, of the candidates, none without events.
std::vector<RecommendedItem> popular_items(const Dataset& dataset,
                                           const ScenePopularity& popularity, std::int64_t scene,
                                           const RecommendOptions& options);

// The best items after the histories of some sequences of `histories`, at most k for each; as many
// sequences as recommend_block() says. exchange: null, or by which the model has its parameters;
// where it splits tables, all ranks are asked the same and answer together. Catalogue and titles
// are those of `dataset`.
std::vector<std::vector<RecommendedItem>> best_items(Context& ctx, Model& model,
                                                     const Dataset& dataset,
                                                     const Dataset& histories,
                                                     std::span<const std::int64_t> sequences,
                                                     const RecommendOptions& options,
                                                     GradientExchange* exchange = nullptr);

// How many histories best_items() should be given at once, so that scores take 16 MiB or so.
std::int64_t recommend_block(Model& model, std::int64_t items);

// People without history are answered with what is popular. exchange: as above.
std::vector<Recommendation> recommend(Context& ctx, Model& model, const Dataset& dataset,
                                      std::span<const Person> people,
                                      const RecommendOptions& options,
                                      GradientExchange* exchange = nullptr);

}  // namespace seqrank
