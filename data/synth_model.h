// The distribution that synth draws from: probabilities, draws and the ten best items. Items here
// have *provisional* ids, cluster by cluster and by falling probability inside one.
#pragma once

#include <cstdint>
#include <vector>

#include "data/synth.h"

namespace seqrank {

class SynthModel {
 public:
  static constexpr int kTop = 10;

  explicit SynthModel(const SynthOptions& options);

  std::int64_t cluster_of(std::int64_t item) const;
  std::int64_t begin_of(std::int64_t cluster) const;  // its first item
  // P(next item | an item of this cluster came last).
  double probability(std::int64_t cluster, std::int64_t item) const;
  // The `length` items of a sequence.
  void draw(std::int64_t sequence, std::vector<std::int32_t>& items) const;

  struct Best {
    double ndcg = 0, hr = 0;        // at 10, expected
    std::vector<std::int32_t> top;  // at most ten items, by falling probability
  };
  const Best& best_after(std::int64_t cluster) const { return best_[cluster]; }

 private:
  std::int64_t size_of(std::int64_t cluster) const {
    return begin_of(cluster + 1) - begin_of(cluster);
  }
  void order_successors();
  Best find_best(std::int64_t cluster) const;

  SynthOptions options_;
  std::vector<double> weight_before_;     // of the first r items of a cluster: r -> sum
  std::vector<double> rank_probability_;  // of a cluster's r-th likeliest successor
  std::vector<std::int32_t> successor_;   // [clusters, clusters]: r-th likeliest
  std::vector<Best> best_;
};

// 1 / log2(place + 2): what a hit at this place (from 0) adds to NDCG.
double discount(int place);

}  // namespace seqrank
