// Least squares over three unknowns and then one, and a step played call by call.
#include "trainer/scaling_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "backend/check.h"
#include "collective/mpi.h"

namespace seqrank {
namespace {

// Seconds of a call = sum over the unknowns of term * unknown.
enum Unknown { kMessage, kInverseShare, kByte, kUnknowns };
using Terms = std::array<double, kUnknowns>;

Terms terms_of(const Link& link, const CallShape& shape) {
  const double wire = link.bits_per_s > 0 ? 8 * shape.moved_bytes / link.bits_per_s : 0;
  return {1.0 * shape.messages, wire, shape.moved_bytes};
}

// The part of a call's time that is known without a fit.
double delay_seconds(const Link& link, const CallShape& shape) {
  return shape.messages * link.delay_seconds;
}

double dot(const Terms& a, const Terms& b) {
  double sum = 0;
  for (int i = 0; i < kUnknowns; ++i) sum += a[i] * b[i];
  return sum;
}

// Least |rows x - targets|^2 over x >= 0, changing only what is not frozen: one unknown after the
// other to where it is best, until nothing moves. Slow where columns are alike, and right.
void least_squares(const std::vector<Terms>& rows, const std::vector<double>& targets,
                   const std::array<bool, kUnknowns>& frozen, Terms& x) {
  constexpr int kMostSweeps = 1'000'000;
  double moved = 1;
  for (int sweep = 0; sweep < kMostSweeps && moved > 1e-12; ++sweep) {
    moved = 0;
    for (int j = 0; j < kUnknowns; ++j) {
      double slope = 0, curve = 0;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        slope += rows[i][j] * (targets[i] - dot(rows[i], x));
        curve += rows[i][j] * rows[i][j];
      }
      if (frozen[j] || curve == 0) continue;
      const double next = std::max(0.0, x[j] + slope / curve);
      moved = std::max(moved, std::abs(next - x[j]) * std::sqrt(curve));
      x[j] = next;
    }
  }
}

// The network's side of a step that is played.
class Player {
 public:
  double clock() const { return clock_; }

  void compute(double work) {
    while (work > 0) {
      while (current_ < calls_.size() && calls_[current_].end <= clock_) ++current_;
      const bool busy = current_ < calls_.size() && calls_[current_].begin <= clock_;
      const double speed = busy ? calls_[current_].speed : 1;
      const double until = current_ == calls_.size() ? std::numeric_limits<double>::infinity()
                           : busy                    ? calls_[current_].end
                                                     : calls_[current_].begin;
      if ((until - clock_) * speed >= work) {
        clock_ += work / speed;
        return;
      }
      work -= (until - clock_) * speed;
      clock_ = until;
    }
  }

  void call(const CallCost& cost) {
    const double begin = calls_.empty() ? clock_ : std::max(clock_, calls_.back().end);
    calls_.push_back({begin, begin + cost.seconds, cost.compute_speed});
  }

  // Seconds stood still. Calls of before the first step are over.
  double wait(std::int64_t call) {
    if (call < 0) return 0;
    const double still = std::max(0.0, calls_.at(static_cast<std::size_t>(call)).end - clock_);
    clock_ += still;
    return still;
  }

 private:
  struct Running {
    double begin, end, speed;
  };
  double clock_ = 0;
  std::vector<Running> calls_;
  std::size_t current_ = 0;  // the first that may not be over
};

}  // namespace

CallShape call_shape(const std::string& operation, double bytes, int ranks) {
  if (ranks == 1) return {};
  const int others = ranks - 1;
  const double rest = bytes * others / ranks;  // of a rank's bytes, those that go to others
  if (operation == "reduce_scatter" || operation == "all_gather")  // round a ring, piece by piece
    return {others, rest};
  if (operation == "all_to_all_v") return {1, rest};
  if (operation == "all_to_all_counted") return {2, rest};
  if (operation == "all_reduce") {
    if (bytes <= static_cast<double>(MpiLimits().direct_bytes)) return {1, bytes * others};
    return {2 * others, 2 * rest};
  }
  return {static_cast<int>(std::ceil(std::log2(ranks))), bytes};  // a tree
}

// A ring's reduce-scatter of n bytes on P ranks passes a piece of n / P from each rank to the next
// P - 1 times, so every link carries n (P - 1) / P; all-gather likewise; an all-reduce is both. In
// an all-to-all each rank keeps 1 / P of its n bytes. Per second that is what the link carried.
double bus_bytes(const std::string& operation, double bytes, int ranks) {
  const double others = (ranks - 1.0) / ranks;
  if (operation == "all_reduce") return 2 * others * bytes;
  if (operation == "broadcast") return bytes;
  return others * bytes;
}

NetworkModel fit_network(const std::vector<MeasuredCall>& calls) {
  SR_CHECK(!calls.empty(), ErrorKind::data, "there are no calls to fit a model to");
  std::vector<Terms> rows;
  std::vector<double> targets;
  for (const MeasuredCall& call : calls) {
    const CallShape shape = call_shape(call.operation, call.bytes, call.ranks);
    Terms row = terms_of(call.link, shape);
    for (double& term : row) term /= call.seconds;
    rows.push_back(row);
    targets.push_back(1 - delay_seconds(call.link, shape) / call.seconds);
  }
  // One rate cannot tell bytes on the wire from bytes in the host: they count as the wire's.
  const double rate = calls[0].link.bits_per_s;
  const bool rates_vary = std::any_of(calls.begin(), calls.end(), [&](const MeasuredCall& call) {
    return call.link.bits_per_s != rate;
  });
  Terms x = {0, rate > 0 ? 1.0 : 0.0, 0};
  least_squares(rows, targets, {false, false, rate > 0 && !rates_vary}, x);
  NetworkModel model;
  model.message_seconds = x[kMessage];
  if (x[kInverseShare] > 0) model.link_share = 1 / x[kInverseShare];
  model.byte_seconds = x[kByte];
  return model;
}

double fit_compute_speed(const NetworkModel& model, const std::vector<MeasuredStep>& steps) {
  const auto error_of = [&](double speed) {
    NetworkModel tried = model;
    tried.compute_speed = speed;
    double sum = 0;
    for (const MeasuredStep& step : steps) {
      const double played = play_overlapped(step.trace, tried, step.link, step.ranks).seconds;
      sum += std::pow(played / step.seconds - 1, 2);
    }
    return sum;
  };
  constexpr int kTried = 1000;
  double best = 1;
  for (int i = kTried - 1; i >= 0; --i) {
    const double tried = 1.0 * i / kTried;
    if (error_of(tried) < error_of(best)) best = tried;
  }
  return best;
}

double call_seconds(const NetworkModel& model, const Link& link, const std::string& operation,
                    double bytes, int ranks) {
  const CallShape shape = call_shape(operation, bytes, ranks);
  const Terms unknowns = {model.message_seconds, 1 / model.link_share, model.byte_seconds};
  return delay_seconds(link, shape) + dot(terms_of(link, shape), unknowns);
}

PlayedStep play(const StepTrace& trace, const std::function<CallCost(const TraceEntry&)>& cost) {
  constexpr int kSteps = 4;  // what a step leaves to the next is the same from the second on
  const auto calls = std::count_if(trace.entries.begin(), trace.entries.end(),
                                   [](const TraceEntry& e) { return !e.operation.empty(); });
  Player player;
  PlayedStep last;
  for (int step = 0; step < kSteps; ++step) {
    const double begin = player.clock();
    last.exposed_seconds = 0;
    double at = 0;
    for (const TraceEntry& entry : trace.entries) {
      player.compute(entry.at - at);
      at = std::max(at, entry.at);
      if (entry.operation.empty()) {
        last.exposed_seconds += player.wait(step * calls + entry.call);
      } else {
        player.call(cost(entry));
      }
    }
    player.compute(trace.seconds - at);
    last.seconds = player.clock() - begin;
  }
  return last;
}

PlayedStep play_overlapped(const StepTrace& trace, const NetworkModel& model, const Link& link,
                           int ranks) {
  return play(trace, [&](const TraceEntry& call) -> CallCost {
    return {call_seconds(model, link, call.operation, static_cast<double>(call.bytes), ranks),
            model.compute_speed};
  });
}

PlayedStep play_in_turn(const StepTrace& trace, const NetworkModel& model, const Link& link,
                        int ranks) {
  PlayedStep step{trace.seconds, 0};
  for (const TraceEntry& entry : trace.entries) {
    if (entry.operation.empty()) continue;
    step.exposed_seconds +=
        call_seconds(model, link, entry.operation, static_cast<double>(entry.bytes), ranks);
  }
  step.seconds += step.exposed_seconds;
  return step;
}

}  // namespace seqrank
