// How well training scales: the same model on 1, 2, 4, ... ranks and all of them, on whole hosts,
// with more work for more ranks (weak) and with the same work (strong), with communication
// overlapped and in turn, all measured in turns in one run. Ranks that are not needed wait. Only
// measures and adds up; scaling_model.h predicts, launch shows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "collective/communicator.h"
#include "data/dataset.h"
#include "models/options.h"
#include "trainer/scaling_sample.h"

namespace seqrank {

struct Spread {
  double median = 0, least = 0, most = 0;
};

struct ScalingPoint {
  Load load = Load::one;
  int ranks = 1, hosts = 1;
  bool overlap = true;
  std::vector<double> events_per_s;  // of each repeat, all ranks together
  std::vector<double> efficiencies;  // of each repeat: events/s over ranks * events/s of one rank
  std::vector<double> step_seconds;  // of each repeat: mean over its steps
  std::vector<double> exposed_seconds;  // of a step, of each repeat
  std::vector<double> hidden_shares;  // of each repeat, overlap only: 1 - exposed / exposed in turn
  StepParts shares;                   // over all repeats
  std::int64_t peak_bytes = 0;        // of the rank with most
  std::vector<StepCall> calls;
};

struct ScalingAtWidth {
  std::int64_t width = 0, parameters = 0;
  double flops_per_event = 0;
  double events_per_rank = 0;  // of a step, weak
  std::string precision_note;  // see TrainingParts
  std::vector<ScalingPoint> points;
  StepTrace trace;  // of a rank of all, from the measurement `apart`
};

struct ScalingBench {
  std::int64_t steps = 0, repeats = 0, items = 0;
  std::vector<ScalingAtWidth> widths;
};

std::vector<OptionSpec> bench_scaling_options();

// Collective; the result is whole on rank 0. node_of: by rank, a number alike for the ranks of a
// host. `options` declares train_options(), the model's and bench_scaling_options(). widths: of
// model.width, in turn.
ScalingBench bench_scaling(Communicator& comm, const std::vector<int>& node_of, int threads,
                           const Dataset& dataset, const Options& options,
                           const std::vector<std::int64_t>& widths);

// How many ranks are measured, given how many there are on each host: 1, 2, 4, ... on the first
// host, then whole hosts, 2, 4, ... and all.
struct RankCount {
  int ranks = 1, hosts = 1;
};
std::vector<RankCount> rank_counts(const std::vector<int>& ranks_of_host);

Spread spread_of(const std::vector<double>& values);

}  // namespace seqrank
