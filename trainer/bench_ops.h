// Speed of operators one by one, on either device, at the shapes that other libraries are compared
// at: tests/gpu_bench.py runs the same ones. Only measures; launch/bench_ops.cc shows.
//
// A repeat is as many calls as take two milliseconds, enqueued at once, from a synchronised device
// to a synchronised device; its time is that of one call.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "backend/context.h"
#include "trainer/op_samples.h"

namespace seqrank {

struct OpSpeed {
  std::string op;       // "multi_head_attention", "lstm", "softmax_cross_entropy", ...
  std::string pass;     // "forward", "forward+backward"
  std::string type;     // in what matrix products multiply; of attention, all tensors
  std::string lengths;  // name of a SampleLengths; "" where events stand alone
  std::string by = {};  // "own", "library": whose recurrence was asked for
  std::vector<std::pair<std::string, std::int64_t>> sizes = {};
  std::int64_t calls = 1;            // of a repeat
  std::vector<double> seconds = {};  // of a call, by repeat
  // Of a call; 0: not counted. Products alone, recomputation not counted; bytes read and written.
  double flops = 0, bytes = 0;
};

struct OpsBench {
  std::vector<SampleLengths> lengths;
  std::vector<OpSpeed> speeds;
  std::vector<std::string> notes;  // what this device does in another way than it was asked to
};

struct OpsPlan {
  bool attention = true, recurrence = true, softmax = true, rows = true;
  std::vector<Precision> precisions;  // attention on a CPU: fp32 alone
  std::vector<std::int64_t> lengths;  // longest sequences; each fixed, and packed
  std::vector<std::int64_t> head_widths, items;
  std::int64_t recurrence_longest = 0;  // recurrences are measured at lengths up to this
  std::vector<RecurrenceKernels> recurrences = {RecurrenceKernels::chosen};  // by each of them
  std::int64_t width = 0;  // of states, of all heads, of rows
  std::int64_t events = 0, repeats = 0;
};

// Uses one device and no ranks.
OpsBench bench_ops(Context& ctx, const OpsPlan& plan);

}  // namespace seqrank
