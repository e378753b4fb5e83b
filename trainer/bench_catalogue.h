// Time of a step, and memory, against the number of items: of the output layer with its loss
// (bench_loss), of the rows that are looked up (bench_table). Each beside its floor: the operations
// and bytes that it cannot do without, over the rates that the same ranks reach at the same time.
// Only measures; launch/bench_catalogue.cc shows. Nothing is trained.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/context.h"
#include "collective/communicator.h"

namespace seqrank {

struct CataloguePlan {
  std::vector<std::int64_t> items;  // catalogue sizes
  std::int64_t width = 0;           // of a row
  std::int64_t events = 0;          // of all ranks in a step: states with a target, ids looked up
  std::int64_t negatives = 0;       // of sampled losses
  bool whole_rows = true, tiles = true, sampled = true;  // which losses
  bool whole = true, split = true;                       // which tables; split: over all ranks
  std::int64_t repeats = 0;
  double seconds = 0;             // of one row: no repeat begins after that
  std::int64_t memory_bytes = 0;  // that this rank may take; 0: any
};

// Of one rank where all of them measure at once, the slowest; the mean of before and after.
struct MachineRates {
  double flops_per_s = 0, bytes_per_s = 0;
  double bus_bytes_per_s = 0;  // between a device and the host; 0: a CPU
};

struct CatalogueRow {
  std::string what;   // "softmax over whole rows", "AdamW"
  std::string table;  // "whole", on every rank; or "split"
  std::int64_t items = 0;
  std::string part = {};             // of the step, where there are several
  std::string skipped = {};          // why it was not measured; "": it was
  std::vector<double> seconds = {};  // by repeat, of the slowest rank
  bool warm = true;                  // false: one step took all the time there is, the first
  double flops = 0, bytes = 0;       // of a rank, at least; the slowest's
  double bus_bytes = 0;              // likewise, one way between a device and the host
  MachineRates rates = {};
  // Of rank 0. Held before the first step (table, gradient, moments, states, ids); the peaks; and
  // those less what was held and the states' gradient, of all tags together.
  BytesByTag held_bytes = {}, peak_bytes = {};
  std::int64_t extra_bytes = 0;

  double floor_seconds() const;  // 0: no floor is known
};

// What is measured: made once for a row of the result, or for several, one a part.
class CatalogueStep {
 public:
  virtual ~CatalogueStep() = default;
  struct Part {
    std::string name;
    double flops, bytes;
    double bus_bytes = 0;
  };
  virtual std::vector<Part> parts() const = 0;
  virtual std::vector<double> run() = 0;          // seconds of each part; ends with the device
  virtual std::int64_t result_bytes() const = 0;  // that a step makes for others
};
using StepMaker = std::function<std::unique_ptr<CatalogueStep>(Context&, const Communicators&)>;

// Collective, among the ranks of one program. A fresh context like `like` for every row.
class CatalogueBench {
 public:
  CatalogueBench(const Context& like, const Communicators& ranks, const CataloguePlan& plan)
      : like_(like), ranks_(ranks), plan_(plan) {}
  // Rows like `row`, or one that says why not: first the step is planned, which takes no memory.
  void measure(const CatalogueRow& row, const StepMaker& make);

  std::vector<CatalogueRow> rows;

 private:
  MachineRates measured_rates();
  std::int64_t planned_bytes(const StepMaker& make);
  void repeat(CatalogueStep& step, std::vector<CatalogueRow>& parts);

  const Context& like_;
  Communicators ranks_;
  const CataloguePlan& plan_;
  MachineRates last_rates_;  // after the row before
};

// Both collective; the same on all ranks but for memory.
std::vector<CatalogueRow> bench_loss(const Context& like, const Communicators& ranks,
                                     const CataloguePlan& plan);
std::vector<CatalogueRow> bench_table(const Context& like, const Communicators& ranks,
                                      const CataloguePlan& plan);

}  // namespace seqrank
