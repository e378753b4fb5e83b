// Measurements in turns, and what their repeats come to.
#include "trainer/bench_scaling.h"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>

#include "trainer/bench_runner.h"
#include "trainer/scaling_model.h"

namespace seqrank {
namespace {

struct Setup {
  Load load;
  RankCount count;
  bool overlap;
};

// Groups of ranks, made once; each rank holds those that it is part of.
class Groups {
 public:
  Groups(Communicator& comm, const std::vector<int>& node_of) {
    std::vector<int> order(comm.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, {}, [&](int rank) { return node_of[rank]; });
    const auto place = static_cast<int>(std::ranges::find(order, comm.rank()) - order.begin());
    std::map<int, int> ranks_of_node;
    for (const int node : node_of) ++ranks_of_node[node];
    std::vector<int> sizes;
    for (const auto& [node, ranks] : ranks_of_node) sizes.push_back(ranks);
    counts_ = rank_counts(sizes);
    for (const RankCount& count : counts_) {
      const bool member = place < count.ranks;
      auto part = comm.split(member ? 0 : 1, place);
      if (member) groups_[count.ranks] = std::move(part);
    }
  }

  const std::vector<RankCount>& counts() const { return counts_; }
  Communicator* find(int ranks) const {
    const auto found = groups_.find(ranks);
    return found == groups_.end() ? nullptr : found->second.get();
  }

 private:
  std::vector<RankCount> counts_;
  std::map<int, std::unique_ptr<Communicator>> groups_;
};

class Measurements {
 public:
  Measurements(Communicator& comm, const Groups& groups, int threads, const Dataset& dataset,
               const Options& options)
      : comm_(comm), groups_(groups), threads_(threads), dataset_(dataset), options_(options) {
    setups_ = {{Load::one, {1, 1}, true}};
    for (const RankCount& count : groups.counts()) {
      if (count.ranks == 1) continue;
      for (const Load load : loads())
        for (const bool overlap : {true, false}) setups_.push_back({load, count, overlap});
    }
    const RankCount all = groups.counts().back();
    if (all.ranks > 1) setups_.push_back({Load::apart, all, true});
    samples_.resize(setups_.size());
  }

  // There and back, so that what drifts meets all alike.
  void repeat(bool backwards) {
    for (std::size_t i = 0; i < setups_.size(); ++i) {
      const std::size_t chosen = backwards ? setups_.size() - 1 - i : i;
      comm_.barrier();
      const Setup& setup = setups_[chosen];
      Communicator* group = groups_.find(setup.count.ranks);
      if (group == nullptr) continue;
      const Options options = options_of(setup);
      samples_[chosen].push_back(
          take_sample({dataset_, options, setup.load, threads_, options.integer("bench.warmup"),
                       options.integer("bench.steps")},
                      *group));
    }
    comm_.barrier();
  }

  ScalingAtWidth result() const;

 private:
  std::vector<Load> loads() const {
    const std::string& load = options_.text("bench.load");
    if (load == "weak") return {Load::weak};
    if (load == "strong") return {Load::strong};
    return {Load::weak, Load::strong};
  }
  Options options_of(const Setup& setup) const;
  ScalingPoint point_of(std::size_t setup) const;

  Communicator& comm_;
  const Groups& groups_;
  int threads_;
  const Dataset& dataset_;
  const Options& options_;
  std::vector<Setup> setups_;
  std::vector<std::vector<ScalingSample>> samples_;  // by setup; those this rank took part in
};

Options Measurements::options_of(const Setup& setup) const {
  Options options = options_;
  const std::int64_t ranks = setup.load == Load::weak ? setup.count.ranks : 1;
  options.set("train.batch", std::to_string(options.integer("train.batch") * ranks), "bench");
  options.set("train.overlap", setup.overlap ? "yes" : "no", "bench");
  return options;
}

// Of a quantity that every repeat has.
template <class F>
std::vector<double> over_repeats(const std::vector<ScalingSample>& samples, F&& value) {
  std::vector<double> values;
  for (const ScalingSample& sample : samples) values.push_back(value(sample));
  return values;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

ScalingPoint Measurements::point_of(std::size_t setup) const {
  const std::vector<ScalingSample>& samples = samples_[setup];
  const auto all = [&](auto member) {
    return over_repeats(samples, [&](const ScalingSample& sample) { return sample.*member; });
  };
  const auto share = [&](double StepParts::*part) {
    return mean(over_repeats(samples, [&](const auto& sample) { return sample.shares.*part; }));
  };
  ScalingPoint point;
  point.load = setups_[setup].load;
  point.ranks = setups_[setup].count.ranks;
  point.hosts = setups_[setup].count.hosts;
  point.overlap = setups_[setup].overlap;
  point.events_per_s = all(&ScalingSample::events_per_s);
  point.step_seconds = all(&ScalingSample::step_seconds);
  point.exposed_seconds = all(&ScalingSample::exposed_seconds);
  point.shares = {share(&StepParts::compute), share(&StepParts::exposed), share(&StepParts::input),
                  share(&StepParts::idle)};
  for (const ScalingSample& sample : samples)
    point.peak_bytes = std::max(point.peak_bytes, sample.peak_bytes);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double one = samples_[0][i].events_per_s;  // setups_[0] is one rank alone
    point.efficiencies.push_back(samples[i].events_per_s / (point.ranks * one));
  }
  point.calls = samples[0].calls;
  for (std::size_t i = 0; i < point.calls.size(); ++i) {
    StepCall& call = point.calls[i];
    call.seconds = median(over_repeats(samples, [i](const auto& s) { return s.calls[i].seconds; }));
    call.bytes = mean(over_repeats(samples, [i](const auto& s) { return s.calls[i].bytes; }));
    call.bus_bytes_per_s = bus_bytes(call.operation, call.bytes, point.ranks) / call.seconds;
  }
  return point;
}

ScalingAtWidth Measurements::result() const {
  ScalingAtWidth result;
  for (std::size_t i = 0; i < setups_.size(); ++i) {
    result.points.push_back(point_of(i));
    if (setups_[i].load != Load::apart) continue;
    std::vector<ScalingSample> samples = samples_[i];
    std::ranges::sort(samples, {}, [](const auto& sample) { return sample.trace.seconds; });
    result.trace = samples[samples.size() / 2].trace;
  }
  for (ScalingPoint& point : result.points) {
    if (point.ranks == 1 || !point.overlap || point.load == Load::apart) continue;
    const auto in_turn = std::ranges::find_if(result.points, [&](const ScalingPoint& other) {
      return other.load == point.load && other.ranks == point.ranks && !other.overlap;
    });
    for (std::size_t i = 0; i < point.exposed_seconds.size(); ++i)
      point.hidden_shares.push_back(1 - point.exposed_seconds[i] / in_turn->exposed_seconds[i]);
  }
  const ScalingSample& one = samples_[0][0];
  result.flops_per_event = one.flops_per_event;
  result.events_per_rank = one.events_per_step;
  result.parameters = one.parameters;
  result.precision_note = one.precision_note;
  return result;
}

}  // namespace

std::vector<OptionSpec> bench_scaling_options() {
  return {
      {"bench.steps", OptionKind::integer, "20",
       "steps of one measurement; ranks that it does not need wait, at most --peer-timeout", "1.."},
      {"bench.repeats", OptionKind::integer, "5", "of everything measured", "1..1000"},
      {"bench.warmup", OptionKind::integer, "3", "steps before each measurement", "1.."},
      {"bench.load", OptionKind::choice, "both",
       "weak: train.batch samples a rank; strong: train.batch samples in all", "weak|strong|both"}};
}

std::vector<RankCount> rank_counts(const std::vector<int>& ranks_of_host) {
  const int hosts = static_cast<int>(ranks_of_host.size());
  std::vector<RankCount> counts;
  for (int ranks = 1; ranks < ranks_of_host[0]; ranks *= 2) counts.push_back({ranks, 1});
  counts.push_back({ranks_of_host[0], 1});
  int ranks = ranks_of_host[0];
  for (int host = 1; host < hosts; ++host) {
    ranks += ranks_of_host[host];
    const bool power_of_two = ((host + 1) & host) == 0;
    if (power_of_two || host + 1 == hosts) counts.push_back({ranks, host + 1});
  }
  return counts;
}

Spread spread_of(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto [least, most] = std::ranges::minmax(values);
  return {median(values), least, most};
}

ScalingBench bench_scaling(Communicator& comm, const std::vector<int>& node_of, int threads,
                           const Dataset& dataset, const Options& options,
                           const std::vector<std::int64_t>& widths) {
  const Groups groups(comm, node_of);
  ScalingBench bench;
  bench.steps = options.integer("bench.steps");
  bench.repeats = options.integer("bench.repeats");
  bench.items = dataset.items();
  for (const std::int64_t width : widths) {
    Options at_width = options;
    at_width.set("model.width", std::to_string(width), "--bench.widths");
    Measurements measurements(comm, groups, threads, dataset, at_width);
    for (std::int64_t repeat = 0; repeat < bench.repeats; ++repeat)
      measurements.repeat(repeat % 2 == 1);
    if (comm.rank() != 0) continue;
    bench.widths.push_back(measurements.result());
    bench.widths.back().width = width;
  }
  return bench;
}

}  // namespace seqrank
