// Copies between a tensor and doubles, for tests: of type f32, f64, bf16, f16, i32 and i64. Not for
// speed.
#pragma once

#include <vector>

#include "backend/context.h"

namespace seqrank {

// Of a tensor in host memory, one value for each element.
void set_values(Tensor& tensor, const std::vector<double>& values);
std::vector<double> get_values(const Tensor& tensor);

// Of a tensor on the context's device, after what is enqueued on its compute stream.
void set_values(Context& ctx, Tensor& tensor, const std::vector<double>& values);
std::vector<double> get_values(Context& ctx, const Tensor& tensor);

}  // namespace seqrank
