// A recorded step, stretched to the device's speed and played against the cluster's networks.
#include "trainer/scaling_forecast.h"

#include <algorithm>
#include <cmath>

#include "trainer/scaling_model.h"

namespace seqrank {
namespace {

double seconds_of(const Cluster::Network& network, double messages, double moved_bytes) {
  return messages * network.message_seconds + moved_bytes / (network.bytes_per_s * network.share);
}

double steps_of_tree(int leaves) {
  return std::ceil(std::log2(std::max(1, leaves)));
}

bool is_all_to_all(const std::string& operation) {
  return operation.starts_with("all_to_all");
}

// Look-ups grow with the events of a device, but no row is sent twice.
double bytes_on_device(const TraceEntry& call, double more_events, double table_bytes) {
  const double bytes = static_cast<double>(call.bytes);
  return is_all_to_all(call.operation) ? std::min(bytes * more_events, table_bytes) : bytes;
}

}  // namespace

std::vector<OptionSpec> cluster_options() {
  return {
      {"device.flops_per_s", OptionKind::real, "", "of one device, in the type trained in", "1.."},
      {"device.share", OptionKind::real, "", "of that which training reaches", "0.001..1"},
      {"device.events", OptionKind::real, "", "events of a device in a step", "1.."},
      {"node.devices", OptionKind::integer, "", "devices of a node", "1..1024"},
      {"node.bytes_per_s", OptionKind::real, "", "of a device to others of its node, each way",
       "1.."},
      {"node.share", OptionKind::real, "", "of that which is reached", "0.001..1"},
      {"node.message_us", OptionKind::real, "", "of each message that follows another", "0.."},
      {"network.bytes_per_s", OptionKind::real, "", "of a device to other nodes, each way", "1.."},
      {"network.share", OptionKind::real, "", "of that which is reached", "0.001..1"},
      {"network.message_us", OptionKind::real, "", "of each message that follows another", "0.."},
      {"call.us", OptionKind::real, "", "of starting any call", "0.."},
  };
}

Cluster cluster_of(const Options& figures) {
  Cluster cluster;
  cluster.flops_per_s = figures.real("device.flops_per_s");
  cluster.flops_share = figures.real("device.share");
  cluster.events = figures.real("device.events");
  cluster.devices = static_cast<int>(figures.integer("node.devices"));
  cluster.inside = {figures.real("node.bytes_per_s"), figures.real("node.share"),
                    1e-6 * figures.real("node.message_us")};
  cluster.between = {figures.real("network.bytes_per_s"), figures.real("network.share"),
                     1e-6 * figures.real("network.message_us")};
  cluster.call_seconds = 1e-6 * figures.real("call.us");
  return cluster;
}

// A ring in every node, then as many rings between nodes as a node has devices, each with its part
// of what is left. Small sums go up and down a tree. In an all-to-all each device sends to each.
double cluster_call_seconds(const Cluster& cluster, const std::string& operation, double bytes,
                            int devices) {
  const int local = std::min(devices, cluster.devices);
  const int nodes = (devices + local - 1) / local;
  const double all = static_cast<double>(local) * nodes;
  double seconds = cluster.call_seconds;
  if (operation == "reduce_scatter" || operation == "all_gather") {
    seconds += seconds_of(cluster.inside, local - 1, bytes * (local - 1) / local);
    seconds += seconds_of(cluster.between, nodes - 1, bytes / local * (nodes - 1) / nodes);
  } else if (is_all_to_all(operation)) {
    const int messages = operation == "all_to_all_counted" ? 2 : 1;
    seconds += seconds_of(cluster.inside, local > 1 ? messages : 0, bytes * (local - 1) / all);
    seconds += seconds_of(cluster.between, nodes > 1 ? messages : 0, bytes * (all - local) / all);
  } else {
    seconds += seconds_of(cluster.inside, 2 * steps_of_tree(local), 2 * bytes);
    seconds += seconds_of(cluster.between, 2 * steps_of_tree(nodes), nodes > 1 ? 2 * bytes : 0);
  }
  return seconds;
}

Forecast forecast(const Cluster& cluster, const ScalingAtWidth& at, std::int64_t items,
                  int devices) {
  Forecast result;
  result.devices = devices;
  result.nodes = (devices + cluster.devices - 1) / cluster.devices;
  result.compute_seconds =
      cluster.events * at.flops_per_event / (cluster.flops_per_s * cluster.flops_share);
  StepTrace stretched = at.trace;
  for (TraceEntry& entry : stretched.entries) entry.at *= result.compute_seconds / at.trace.seconds;
  stretched.seconds = result.compute_seconds;
  const double more_events = cluster.events / at.events_per_rank;
  const double table_bytes = 4.0 * static_cast<double>(items) * static_cast<double>(at.width);
  const PlayedStep played = play(stretched, [&](const TraceEntry& call) -> CallCost {
    const double bytes = bytes_on_device(call, more_events, table_bytes);
    return {cluster_call_seconds(cluster, call.operation, bytes, devices), 1};
  });
  for (const TraceEntry& call : stretched.entries) {
    if (call.operation.empty()) continue;
    result.communication_seconds += cluster_call_seconds(
        cluster, call.operation, bytes_on_device(call, more_events, table_bytes), devices);
  }
  result.exposed_seconds = played.exposed_seconds;
  result.step_seconds = played.seconds;
  result.efficiency = result.compute_seconds / played.seconds;
  result.events_per_s = devices * cluster.events / played.seconds;
  return result;
}

}  // namespace seqrank
