// The numbers of `bench scaling` as JSON, written and read again: `bench model` fits and checks
// with what earlier runs wrote.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "models/options.h"
#include "trainer/bench_scaling.h"
#include "trainer/scaling_model.h"

namespace seqrank {

nlohmann::ordered_json scaling_json(const ScalingBench& bench, int threads, const Options& given);

// Of one file.
struct RecordedScaling {
  std::string path;
  Link link;
  ScalingBench bench;
};
// Throws Error(usage) naming the path, and what is missing in it.
RecordedScaling read_scaling_json(const std::string& path);

}  // namespace seqrank
