// Data sets of any size whose best possible score is known: clusters of items with Zipf popularity
// inside, and a first-order Markov chain over clusters. The next item depends on the last item's
// cluster alone, so the best ranking is by true probability and its score is computed exactly.
#pragma once

#include <cstdint>
#include <string>

namespace seqrank {

struct SynthOptions {
  std::string output;
  std::int64_t items = 1000;
  std::int64_t sequences = 20000;
  std::int64_t length = 50;  // events of every sequence
  std::int64_t clusters = 20;
  double zipf = 1.2;  // inside a cluster the r-th item has weight r^-zipf
  // Probability of a cluster's likeliest successor; each further one is (1 - concentration) times
  // as likely as the one before.
  double concentration = 0.8;
  std::uint64_t seed = 1;
};

// Scores of ranking the whole catalogue by true probability for the test targets (protocol p1,
// items seen before not masked). best_: expected, given each sequence's history; what a perfect
// model reaches on average. oracle_: on the targets that were drawn. All are written as root
// attributes too (best_ndcg@10, ...). 0 where sequences are shorter than 3.
struct SynthReport {
  std::int64_t items = 0, sequences = 0, events = 0;
  double best_ndcg_10 = 0, best_hr_10 = 0;
  double oracle_ndcg_10 = 0, oracle_hr_10 = 0;
};

// Throws Error(usage) for impossible options, Error(data) where the output cannot be written.
// Dense ids by falling frequency, as prepare gives them; items never drawn have the last ids.
SynthReport synth(const SynthOptions& options);

}  // namespace seqrank
