// Shape checks of operators, in words. A mismatch is a bug of the caller, so it aborts.
#pragma once

#include "backend/tensor.h"

namespace seqrank {

// expect("linear", "x_NK", x, DType::f32, {n, k});
inline void expect(const char* op, const char* name, const Tensor& tensor, DType type,
                   const Shape& shape) {
  SR_ASSERT(static_cast<bool>(tensor), "{}: {} is absent, expected {} {}", op, name,
            dtype_name(type), shape.str());
  SR_ASSERT(tensor.dtype() == type && tensor.shape() == shape, "{}: {} is {} {}, expected {} {}",
            op, name, dtype_name(tensor.dtype()), tensor.shape().str(), dtype_name(type),
            shape.str());
}

inline void expect_rank(const char* op, const char* name, const Tensor& tensor, int rank) {
  SR_ASSERT(static_cast<bool>(tensor) && tensor.shape().rank() == rank,
            "{}: {} has shape {}, expected {} extents", op, name, tensor.shape().str(), rank);
}

}  // namespace seqrank
