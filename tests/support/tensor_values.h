// Copies between a tensor and doubles, for tests: of type f32, f64, i32 and i64. Not for speed.
#pragma once

#include <vector>

#include "backend/context.h"

namespace seqrank {

void set_values(Tensor& tensor, const std::vector<double>& values);  // one for each element
std::vector<double> get_values(const Tensor& tensor);

}  // namespace seqrank
