// What a training run will take of a rank's memory, before anything of it is taken: the run's own
// parts and steps, on a Context that plans and among imagined ranks. So it knows no model and
// cannot lag behind one.
#pragma once

#include <cstdint>

#include "trainer/training_parts.h"

namespace seqrank {

struct MemoryPlan {
  Device device = Device::cpu;
  BytesByTag peak_bytes{};            // of rank 0's device; its share is never the smallest
  std::int64_t checkpoint_bytes = 0;  // of the copy that saves write from, on the host
  std::int64_t pinned_bytes = 0;      // of the host, where the device is another
  std::int64_t file_bytes = 0;        // of its tables in files, which are not memory
  // Of its tables in the host's memory, for a device; and of their first rows, on the device.
  std::int64_t table_bytes = 0, cache_bytes = 0;
  std::int64_t parameters = 0;  // elements
  // Of the device's memory, as if all peaks came at once; a CPU's is the host's.
  std::int64_t total() const;
  // Of the host's, all of it on a CPU; beside a GPU a save's copy is pinned.
  std::int64_t host_bytes() const;
};

// Who is imagined. threads: of a CPU, for each.
struct PlannedRanks {
  int count = 1, threads = 1;
  Device device = Device::cpu;
};

// `options` as train() takes them. Looks at batches of an epoch, at most 512, and plans steps with
// the largest of them and as many made ahead as ever are, blocks of questions, and a checkpoint.
// The ranks are imagined on one host, unless table.group says how many share a table. Throws as
// TrainingParts does, and Error(device) for CUDA in a program built without.
MemoryPlan plan_memory(const Dataset& dataset, const Options& options, const PlannedRanks& ranks);

// Bytes of a rank's tables in files, no step planned. Likewise.
std::int64_t plan_table_files(const Dataset& dataset, const Options& options, int ranks);

}  // namespace seqrank
