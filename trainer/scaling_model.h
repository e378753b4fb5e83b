// A model of the time that communication takes and of how much of it a step has to wait for: a call
// takes a latency for each message that has to follow another, and the time of the bytes that each
// rank moves. Assumes that ranks arrive together and that each has links of its own; measures
// nothing. docs/adr/0015 says what it can tell and what not.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "trainer/step_trace.h"

namespace seqrank {

// What the algorithms of collective/ make of a call on `ranks` ranks.
struct CallShape {
  int messages = 0;        // that follow one another; each is sent without asking first
  double moved_bytes = 0;  // sent by a rank, and as many received
};
CallShape call_shape(const std::string& operation, double bytes, int ranks);

// Bytes that would cross a link in the same time if every byte crossed it once (nccl-tests' bus
// bandwidth): comparable over operations and numbers of ranks with the link's own bandwidth.
double bus_bytes(const std::string& operation, double bytes, int ranks);

// As a label says it.
struct Link {
  double bits_per_s = 0;
  double delay_seconds = 0;  // each way
};

struct NetworkModel {
  double message_seconds = 0;  // of every message, on top of the delay of the link
  double link_share = 1;       // of the link's bandwidth that is reached
  double byte_seconds = 0;     // of every byte moved, whatever the link: copies, additions
  // Share of its speed at which compute goes on while a call is under way: less than 1 where the
  // cores that compute also carry the network's work.
  double compute_speed = 1;
};

struct MeasuredCall {
  Link link;
  int ranks = 2;
  std::string operation;
  double bytes = 0;
  double seconds = 0;
};

// By least squares of relative errors; no part is negative. compute_speed is left alone.
NetworkModel fit_network(const std::vector<MeasuredCall>& calls);

double call_seconds(const NetworkModel& model, const Link& link, const std::string& operation,
                    double bytes, int ranks);

// A step of `ranks` ranks that communication overlapped with compute.
struct MeasuredStep {
  Link link;
  int ranks = 2;
  StepTrace trace;
  double seconds = 0;
};
// The compute_speed with which play_overlapped() comes nearest to the steps, by least squares of
// relative errors.
double fit_compute_speed(const NetworkModel& model, const std::vector<MeasuredStep>& steps);

// What playing a step found, of a step among many like it.
struct PlayedStep {
  double seconds = 0;
  double exposed_seconds = 0;  // of it, the compute stood still
};

struct CallCost {
  double seconds = 0;
  double compute_speed = 1;  // share of its speed at which compute goes on meanwhile
};

// Calls run one after another, in their order, each from the moment the compute makes it; the
// compute stands still where the trace waits for a call that is not over.
PlayedStep play(const StepTrace& trace, const std::function<CallCost(const TraceEntry&)>& cost);

// Of that network.
PlayedStep play_overlapped(const StepTrace& trace, const NetworkModel& model, const Link& link,
                           int ranks);
// Every call waited for where it is made.
PlayedStep play_in_turn(const StepTrace& trace, const NetworkModel& model, const Link& link,
                        int ranks);

}  // namespace seqrank
