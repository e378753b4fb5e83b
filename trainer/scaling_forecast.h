// What the model of scaling_model.h says of clusters that nobody here has measured: nodes of
// several devices, a fast network in a node and one between nodes, hierarchical rings. Everything
// that comes out is modelled. Figures come from a file; none is built in.
#pragma once

#include <vector>

#include "models/options.h"
#include "trainer/bench_scaling.h"

namespace seqrank {

struct Cluster {
  struct Network {
    double bytes_per_s = 0;  // of a device, each way
    double share = 1;        // of that which is reached
    double message_seconds = 0;
  };
  double flops_per_s = 0;   // of a device
  double flops_share = 1;   // of that which training reaches
  double events = 0;        // of a device in a step
  int devices = 1;          // of a node
  double call_seconds = 0;  // of starting any call
  Network inside, between;  // nodes
};

std::vector<OptionSpec> cluster_options();   // all without a default
Cluster cluster_of(const Options& figures);  // throws Error(usage) for one that is missing

// Of one call on `devices` devices that fill nodes.
double cluster_call_seconds(const Cluster& cluster, const std::string& operation, double bytes,
                            int devices);

struct Forecast {
  int devices = 1, nodes = 1;
  double compute_seconds = 0;
  double communication_seconds = 0;  // of all calls of a step, in turn
  double exposed_seconds = 0;        // of them, overlapped
  double step_seconds = 0;           // overlapped
  double efficiency = 0;             // weak: compute over step
  double events_per_s = 0;
};

// Weak scaling of a model whose step was recorded at `at`. items: of the catalogue, of which rows
// are exchanged.
Forecast forecast(const Cluster& cluster, const ScalingAtWidth& at, std::int64_t items,
                  int devices);

}  // namespace seqrank
