// Clocks and the speed of exchanges between neighbours.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "launch/doctor/examine.h"

namespace seqrank {
namespace {

constexpr double kClockLimit = 1.0;   // seconds
constexpr double kTimesSlower = 5.0;  // than the better pairs of its kind
// Bytes a second below which something is broken, however alike all pairs are: far less than any
// memory copies, and less than 100 Mbit/s Ethernet.
constexpr double kFloorInside = 50e6;
constexpr double kFloorBetween = 10e6;

bool same_node(const PairRate& pair, const std::vector<Seat>& seats) {
  return seats.at(pair.first).node == seats.at(pair.second).node;
}

// What three quarters of the pairs do not exceed: a slow rank slows two pairs, so with few ranks
// the median may be a slow one.
double good_rate(std::vector<double> rates) {
  std::sort(rates.begin(), rates.end());
  return rates[rates.size() * 3 / 4];
}

bool slower(const PairRate& a, const PairRate& b) {
  return a.bytes_per_second < b.bytes_per_second;
}

// Ranks that are slow with all of two or more neighbours, if that explains every slow pair.
std::set<int> culprits(const std::vector<PairRate>& pairs, const std::vector<PairRate>& slow) {
  std::map<int, int> left;  // pairs of a rank that are not slow
  std::map<int, int> bad;
  for (const PairRate& pair : pairs) {
    ++left[pair.first];
    ++left[pair.second];
  }
  for (const PairRate& pair : slow) {
    for (const int rank : {pair.first, pair.second}) {
      --left[rank];
      ++bad[rank];
    }
  }
  std::set<int> ranks;
  for (const auto& [rank, pairs_left] : left) {
    if (pairs_left == 0 && bad[rank] > 1) ranks.insert(rank);
  }
  const bool explained = std::all_of(slow.begin(), slow.end(), [&](const PairRate& pair) {
    return ranks.contains(pair.first) || ranks.contains(pair.second);
  });
  return explained ? ranks : std::set<int>();
}

// Pairs of one kind, all inside nodes or all between.
void examine_kind(const std::vector<PairRate>& pairs, double floor,
                  std::vector<Finding>& findings) {
  std::vector<double> rates;
  for (const PairRate& pair : pairs) rates.push_back(pair.bytes_per_second);
  const bool compares = pairs.size() > 2;
  const double good = compares ? good_rate(rates) : 0;
  const double limit = std::max(good / kTimesSlower, floor);

  std::vector<PairRate> slow;
  std::copy_if(pairs.begin(), pairs.end(), std::back_inserter(slow),
               [&](const PairRate& pair) { return pair.bytes_per_second < limit; });
  if (slow.empty()) return;
  std::set<int> ranks = culprits(pairs, slow);
  const std::string who = ranks.empty() ? "slow with each other" : "slow with both neighbours";
  if (ranks.empty()) {
    for (const PairRate& pair : slow) ranks.insert({pair.first, pair.second});
  }
  const double worst = std::min_element(slow.begin(), slow.end(), slower)->bytes_per_second;
  const std::string usual = good > floor
                                ? fmt::format("others {:.3g} GB/s", good / 1e9)
                                : fmt::format("usual is more than {:.3g} GB/s", floor / 1e9);
  findings.push_back({"slow-exchange", Severity::warning, ErrorKind::peers,
                      fmt::format("exchange {}: {:.2g} GB/s, {}", who, worst / 1e9, usual),
                      "look at what else runs on those cores, at binding, and at the link between "
                      "the hosts",
                      std::vector<int>(ranks.begin(), ranks.end())});
}

}  // namespace

std::vector<Finding> examine_clocks(const std::vector<ClockReading>& clocks) {
  std::vector<int> ranks;
  double worst = 0;
  for (std::size_t rank = 0; rank < clocks.size(); ++rank) {
    const ClockReading& clock = clocks[rank];
    if (std::abs(clock.ahead) - clock.uncertainty <= kClockLimit) continue;
    ranks.push_back(static_cast<int>(rank));
    if (std::abs(clock.ahead) > std::abs(worst)) worst = clock.ahead;
  }
  if (ranks.empty()) return {};
  return {{"clock", Severity::warning, ErrorKind::peers,
           fmt::format("clock {:.1f} s {} rank 0's", std::abs(worst),
                       worst > 0 ? "ahead of" : "behind"),
           "set the hosts' clocks (chrony, ntp): --stop-at and the times in logs go by them",
           ranks}};
}

std::vector<Finding> examine_exchange(const std::vector<PairRate>& pairs,
                                      const std::vector<Seat>& seats) {
  std::vector<PairRate> inside, between;
  for (const PairRate& pair : pairs) {
    (same_node(pair, seats) ? inside : between).push_back(pair);
  }
  std::vector<Finding> findings;
  examine_kind(inside, kFloorInside, findings);
  examine_kind(between, kFloorBetween, findings);
  return findings;
}

}  // namespace seqrank
