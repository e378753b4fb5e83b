// Efficiency over ranks as a picture.
#pragma once

#include <string>

#include "trainer/bench_scaling.h"

namespace seqrank {

void draw_scaling(const ScalingBench& bench, const std::string& path);

}  // namespace seqrank
