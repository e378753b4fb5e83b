// What a checkpoint holds besides tensors, and the piece of a tensor that one rank holds. Plain
// values: nothing here reads, writes or communicates.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "backend/tensor.h"

namespace seqrank {

// The same on all ranks; of a save, rank 0's is written. Every value comes back bitwise.
struct TrainingState {
  std::int64_t step = 0;  // updates done; with the seed and the configuration, the data position
  std::int64_t skipped_steps = 0;  // of these, left out because something was not finite
  std::uint64_t seed = 0;
  double loss_scale = 0;             // of the next step; 0 = none
  std::int64_t loss_scale_good = 0;  // steps in a row that it has lasted
  std::int64_t best_step = -1;       // of the best validation so far; -1 = none yet
  double best_value = -std::numeric_limits<double>::infinity();
  std::int64_t evaluations_without_gain = 0;  // early stopping
  bool evaluation_due = false;                // at this step, and not done: a stop came first
  std::int64_t metrics_bytes = 0;             // length of metrics.jsonl at this step
  std::string dataset_fingerprint;
  std::string item_fingerprint = "none";  // of the items' keys; "none": it was without keys
  // Of the columns that the model reads, "domain": of the names of their values, in order. Of one
  // that has no names, or where an earlier version saved: absent.
  std::map<std::string, std::string> columns;
  std::map<std::string, std::string> config;  // resolved options, "model.width" -> "64"; UTF-8
  std::map<std::string, std::string> shapes;  // of parameters, "items" -> "[3416, 64]"
};

// Writes the elements from `first` on: for what is too large to be copied, or is not all there.
using ReadElements = std::function<void(std::int64_t first, std::span<float> out)>;

// Takes the elements from `first` on.
using WriteElements = std::function<void(std::int64_t first, std::span<const float> in)>;

// Elements [begin, end) of a global tensor flattened to `total` elements.
struct TensorPiece {
  std::string name;  // "rnn.0.w_x/weight", ".../m", ".../v"; once a rank
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t total = 0;
  Tensor data;               // end - begin elements; f32, host; or any, with both of these:
  ReadElements read = {};    // how a save reads them, counted from `begin`; absent: from `data`
  WriteElements write = {};  // how a load writes them, likewise
  bool apart = false;        // `data` is nobody else's: a save need not copy it
};

struct TensorTotal {
  std::string name;
  std::int64_t total = 0;
};

// One reason to refuse a checkpoint or a run folder.
struct Difference {
  std::string what;   // "model.width"
  std::string saved;  // "64"; "-" where it is absent
  std::string now;
  enum class Of { run, tensor } of = Of::run;
};
// One line for people: what differs of the run, then how many tensors follow from it; the first
// tensor where nothing else differs.
std::string difference_text(std::span<const Difference> differences);

// `saved` and `now` at the given keys; a key absent on both sides is equal.
std::vector<Difference> config_differences(const std::map<std::string, std::string>& saved,
                                           const std::map<std::string, std::string>& now,
                                           std::span<const std::string> keys);

}  // namespace seqrank
