// Every number drawn is a function of (seed, sequence, event): sequences can be drawn again, in any
// order, which is how synth goes over its data twice without keeping it.
#include "data/synth_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "backend/philox.h"

namespace seqrank {
namespace {

// Counters of the form {index, row, 0, kSuccessors}; draws of events have 0 in the last place.
constexpr std::uint32_t kSuccessors = 1;

void shuffle(std::span<std::int32_t> values, std::uint64_t seed, std::uint32_t row) {
  for (std::size_t i = values.size(); i > 1; --i) {
    const Philox4 bits =
        philox(seed, Purpose::synth, {static_cast<std::uint32_t>(i), row, 0, kSuccessors});
    const double u = uniform_double(bits[0], bits[1]);
    std::swap(values[i - 1], values[static_cast<std::size_t>(u * static_cast<double>(i))]);
  }
}

}  // namespace

double discount(int place) {
  return 1.0 / std::log2(place + 2.0);
}

SynthModel::SynthModel(const SynthOptions& options) : options_(options) {
  const std::int64_t largest = size_of(0);
  weight_before_.resize(static_cast<std::size_t>(largest) + 1);
  for (std::int64_t r = 0; r < largest; ++r)
    weight_before_[r + 1] = weight_before_[r] + std::pow(static_cast<double>(r) + 1, -options.zipf);
  double weight = 1, sum = 0;
  for (std::int64_t r = 0; r < options.clusters; ++r, weight *= 1 - options.concentration) {
    rank_probability_.push_back(weight);
    sum += weight;
  }
  for (double& p : rank_probability_) p /= sum;
  order_successors();
  for (std::int64_t c = 0; c < options.clusters; ++c) best_.push_back(find_best(c));
}

// Clusters differ in size by one item at most; the larger come first.
std::int64_t SynthModel::begin_of(std::int64_t cluster) const {
  const std::int64_t each = options_.items / options_.clusters;
  return cluster * each + std::min(cluster, options_.items % options_.clusters);
}

std::int64_t SynthModel::cluster_of(std::int64_t item) const {
  const std::int64_t each = options_.items / options_.clusters;
  const std::int64_t larger = options_.items % options_.clusters;
  const std::int64_t in_larger = larger * (each + 1);
  return item < in_larger ? item / (each + 1) : larger + (item - in_larger) / each;
}

// The likeliest successors form one cycle over all clusters, so that all are visited alike.
void SynthModel::order_successors() {
  const auto clusters = static_cast<std::size_t>(options_.clusters);
  std::vector<std::int32_t> cycle(clusters);
  std::iota(cycle.begin(), cycle.end(), 0);
  shuffle(cycle, options_.seed, 0);
  successor_.resize(clusters * clusters);
  for (std::size_t i = 0; i < clusters; ++i) {
    const std::int32_t cluster = cycle[i], first = cycle[(i + 1) % clusters];
    const auto row = std::span(successor_).subspan(cluster * clusters, clusters);
    std::iota(row.begin(), row.end(), 0);
    std::swap(row[0], row[first]);
    shuffle(row.subspan(1), options_.seed, static_cast<std::uint32_t>(cluster) + 1);
  }
}

double SynthModel::probability(std::int64_t cluster, std::int64_t item) const {
  const std::int64_t to = cluster_of(item), place = item - begin_of(to);
  const auto row = std::span(successor_).subspan(cluster * options_.clusters, options_.clusters);
  const auto rank = std::find(row.begin(), row.end(), to) - row.begin();
  return rank_probability_[rank] * (weight_before_[place + 1] - weight_before_[place]) /
         weight_before_[size_of(to)];
}

SynthModel::Best SynthModel::find_best(std::int64_t cluster) const {
  std::vector<std::pair<double, std::int32_t>> candidates;  // the ten best of each successor
  for (std::int64_t r = 0; r < options_.clusters; ++r) {
    const std::int64_t to = successor_[cluster * options_.clusters + r];
    for (std::int64_t i = 0; i < std::min<std::int64_t>(kTop, size_of(to)); ++i) {
      const double p = rank_probability_[r] * (weight_before_[i + 1] - weight_before_[i]) /
                       weight_before_[size_of(to)];
      candidates.emplace_back(p, static_cast<std::int32_t>(begin_of(to) + i));
    }
  }
  const auto top = std::min<std::size_t>(kTop, candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + top, candidates.end(),
                    [](const auto& a, const auto& b) {
                      return a.first != b.first ? a.first > b.first : a.second < b.second;
                    });
  Best best;
  for (std::size_t place = 0; place < top; ++place) {
    const auto [p, item] = candidates[place];
    best.hr += p;
    best.ndcg += p * discount(static_cast<int>(place));
    best.top.push_back(item);
  }
  return best;
}

void SynthModel::draw(std::int64_t sequence, std::vector<std::int32_t>& items) const {
  items.clear();
  std::int64_t cluster = -1;
  const auto number = static_cast<std::uint64_t>(sequence);
  for (std::int64_t t = 0; t < options_.length; ++t) {
    const Philox4 bits = philox(options_.seed, Purpose::synth,
                                {static_cast<std::uint32_t>(t), static_cast<std::uint32_t>(number),
                                 static_cast<std::uint32_t>(number >> 32), 0});
    double u = uniform_double(bits[0], bits[1]);
    if (cluster < 0) {
      cluster = static_cast<std::int64_t>(u * static_cast<double>(options_.clusters));
    } else {
      std::int64_t rank = 0;
      for (; rank + 1 < options_.clusters && u >= rank_probability_[rank]; ++rank)
        u -= rank_probability_[rank];
      cluster = successor_[cluster * options_.clusters + rank];
    }
    const std::int64_t size = size_of(cluster);
    const double weight = uniform_double(bits[2], bits[3]) * weight_before_[size];
    // The last r whose items before it weigh no more than that.
    const auto after =
        std::upper_bound(weight_before_.begin() + 1, weight_before_.begin() + size, weight);
    items.push_back(
        static_cast<std::int32_t>(begin_of(cluster) + (after - weight_before_.begin() - 1)));
  }
}

}  // namespace seqrank
