// Takes the best of several tries: what a link can do, not what else happened meanwhile.
#include "launch/doctor/exchange_probe.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "backend/transfer.h"

namespace seqrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kClockRounds = 3;
constexpr int kSmallTries = 10;
constexpr int kLeastTries = 2, kMostTries = 30;  // after a first one
constexpr double kSecondsAPair = 0.4;            // for the large messages of one pair

double time_of_day() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// The ranks form a ring; edge e joins rank e and the next one. Edges that meet at a rank go in
// different rounds.
int round_of(int edge, int ranks) {
  return ranks % 2 == 1 && edge == ranks - 1 ? 2 : edge % 2;
}

struct Neighbour {
  int edge;
  int rank;
};

std::optional<Neighbour> neighbour(int round, int rank, int ranks) {
  const int edges = ranks > 2 ? ranks : ranks - 1;
  const int next = (rank + 1) % ranks;
  const int before = (rank + ranks - 1) % ranks;
  if (rank < edges && round_of(rank, ranks) == round) return Neighbour{rank, next};
  if (before < edges && round_of(before, ranks) == round) return Neighbour{before, before};
  return std::nullopt;
}

// Sends `bytes` to a neighbour, if there is one, and receives as many from it.
class Exchange {
 public:
  Exchange(Communicator& comm, const FaultPlan& faults, std::optional<Neighbour> with,
           std::int64_t bytes)
      : comm_(comm), faults_(faults), counts_(comm.size(), 0) {
    if (with) counts_[with->rank] = bytes;
    sent_ = Tensor(arena_, DType::u8, {with ? bytes : 0}, Tag::workspace);
    received_ = Tensor(arena_, DType::u8, {with ? bytes : 0}, Tag::workspace);
    std::fill_n(static_cast<std::byte*>(sent_.raw()), sent_.bytes(), std::byte{1});
  }

  // Seconds of the fastest of `tries`.
  double best(int tries) {
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < tries; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      faults_.at("doctor.exchange", comm_.rank());
      comm_.all_to_all_v(received_, counts_, sent_, counts_);
      comm_.stream().synchronize();
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      best = std::min(best, took.count());
    }
    return best;
  }

 private:
  Communicator& comm_;
  const FaultPlan& faults_;
  std::vector<std::int64_t> counts_;
  Arena arena_;
  Tensor sent_, received_;
};

}  // namespace

// Rank 0 reads its clock, then all meet, then every rank reads its own and tells: whatever it
// reads, it reads while rank 0's clock is between two known values. The narrowest of a few rounds.
std::vector<ClockReading> measure_clocks(Communicator& comm) {
  std::vector<ClockReading> best(comm.size());
  double narrowest = std::numeric_limits<double>::infinity();
  for (int round = 0; round < kClockRounds; ++round) {
    const double begin = time_of_day();
    comm.barrier();
    const std::vector<std::string> told = comm.all_gather_text(Json(time_of_day()).dump());
    const double end = time_of_day();
    if (end - begin >= narrowest) continue;
    narrowest = end - begin;
    for (int rank = 0; rank < comm.size(); ++rank) {
      const double ahead = Json::parse(told[rank]).get<double>() - (begin + end) / 2;
      best[rank] = {ahead, (end - begin) / 2};
    }
  }
  Json json = Json::array();
  for (const ClockReading& reading : best) json.push_back({reading.ahead, reading.uncertainty});
  std::vector<ClockReading> agreed;
  for (const Json& reading : Json::parse(comm.broadcast_text(json.dump(), 0)))
    agreed.push_back({reading.at(0).get<double>(), reading.at(1).get<double>()});
  return agreed;
}

std::vector<PairRate> measure_exchange(Communicator& comm, const FaultPlan& faults) {
  Json own = Json::array();
  const int rounds = comm.size() % 2 == 1 ? 3 : 2;
  for (int round = 0; round < rounds; ++round) {
    const std::optional<Neighbour> with = neighbour(round, comm.rank(), comm.size());
    const double small = Exchange(comm, faults, with, 8).best(kSmallTries);
    Exchange large(comm, faults, with, kExchangeBytes);
    // As many tries on every rank: the calls are collective.
    const double first = comm.all_reduce_value(large.best(1), Reduce::max);
    const int tries = std::clamp(static_cast<int>(kSecondsAPair / std::max(first, 1e-6)),
                                 kLeastTries, kMostTries);
    const double seconds = large.best(tries);
    if (with && with->edge == comm.rank())
      own.push_back({comm.rank(), with->rank, small, double{kExchangeBytes} / seconds});
  }
  std::vector<PairRate> pairs;
  for (const std::string& text : comm.all_gather_text(own.dump())) {
    for (const Json& pair : Json::parse(text))
      pairs.push_back({pair.at(0).get<int>(), pair.at(1).get<int>(), pair.at(2).get<double>(),
                       pair.at(3).get<double>()});
  }
  return pairs;
}

double measure_all_reduce(Communicators ranks, Context& ctx) {
  Tensor host(ctx.host_arena(), DType::f32, {kAllReduceBytes / 4}, Tag::workspace);
  std::fill_n(host.data<float>(), host.numel(), 0.0f);
  Tensor x = to_device(ctx, host);
  ranks.device.stream().wait(ctx.compute().record());
  // Seconds, of the slowest rank.
  const auto once = [&] {
    ranks.host.barrier();
    const auto begin = std::chrono::steady_clock::now();
    ranks.device.all_reduce(x, Reduce::sum);
    ranks.device.stream().synchronize();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    return ranks.host.all_reduce_value(took.count(), Reduce::max);
  };
  once();  // connects
  double best = once();
  const int tries = std::clamp(static_cast<int>(kSecondsAPair / best), 0, kMostTries);
  for (int i = 0; i < tries; ++i) best = std::min(best, once());
  const double sent = 2.0 * (ranks.size() - 1) / ranks.size();
  return sent * double{kAllReduceBytes} / best;
}

}  // namespace seqrank
