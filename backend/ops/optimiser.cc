// Contract of the optimiser's operators: shapes, then the device's implementation.
#include "backend/ops/optimiser.h"

#include "backend/cpu/kernels.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {

void add_squared_norm(Context& ctx, Tensor& sum_1, const Tensor& x) {
  expect("add_squared_norm", "sum_1", sum_1, DType::f64, {1});
  expect("add_squared_norm", "x", x, DType::f32, x.shape());
  SR_DISPATCH(ctx, add_squared_norm, sum_1, x);
}

void clip_scale(Context& ctx, Tensor& scale_1, const Tensor& squared_norm_1, float clip) {
  expect("clip_scale", "scale_1", scale_1, DType::f32, {1});
  expect("clip_scale", "squared_norm_1", squared_norm_1, DType::f64, {1});
  SR_ASSERT(clip >= 0, "clip_scale: clip {} is negative", clip);
  SR_DISPATCH(ctx, clip_scale, scale_1, squared_norm_1, clip);
}

void adamw(Context& ctx, Tensor& w, Tensor& m, Tensor& v, const Tensor& g, const Tensor& scale_1,
           const AdamW& options, float rate, const UpdateParts& parts, std::int64_t updates) {
  expect("adamw", "g", g, DType::f32, g.shape());
  expect("adamw", "w", w, DType::f32, g.shape());
  expect("adamw", "m", m, DType::f32, g.shape());
  expect("adamw", "v", v, DType::f32, g.shape());
  expect("adamw", "scale_1", scale_1, DType::f32, {1});
  const std::int64_t count = parts.end_S.numel();
  expect("adamw", "end_S", parts.end_S, DType::i64, {count});
  expect("adamw", "decay_S", parts.decay_S, DType::f32, {count});
  expect("adamw", "rate_S", parts.rate_S, DType::f32, {count});
  SR_ASSERT(count >= 1, "adamw: no part says how its elements are updated");
  SR_ASSERT(updates >= 1, "adamw: updates {} must count this one", updates);
  SR_DISPATCH(ctx, adamw, w, m, v, g, scale_1, options, rate, parts, updates);
}

}  // namespace seqrank
