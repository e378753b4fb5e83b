// Which pieces of which parameters a rank updates.
#include "trainer/sharded_adamw.h"

#include <algorithm>

#include "backend/ops/activation.h"

namespace seqrank {

ShardedAdamW::ShardedAdamW(Context& ctx, ParameterStore& store, const GradientExchange& exchange,
                           const AdamW& options, float decay)
    : options_(options), decay_(decay) {
  for (const GradientExchange::Bucket& bucket : exchange.buckets()) {
    for (const Parameter& p : store.parameters()) {
      const std::int64_t begin = std::max(bucket.own.begin, p.offset);
      const std::int64_t end = std::min(bucket.own.end, p.offset + p.shape.numel());
      if (begin >= end) continue;
      Segment segment{&p,
                      begin - p.offset,
                      end - p.offset,
                      store.values().flat_range(begin, end),
                      store.gradients().flat_range(begin, end),
                      ctx.empty(DType::f32, {end - begin}, Tag::optimiser),
                      ctx.empty(DType::f32, {end - begin}, Tag::optimiser)};
      fill(ctx, segment.m, 0);
      fill(ctx, segment.v, 0);
      segments_.push_back(std::move(segment));
    }
  }
}

void ShardedAdamW::add_squared_norm(Context& ctx, Tensor& sum_1) {
  for (const Segment& segment : segments_) seqrank::add_squared_norm(ctx, sum_1, segment.gradient);
}

void ShardedAdamW::update(Context& ctx, const Tensor& scale_1, float rate, std::int64_t updates) {
  for (Segment& s : segments_) {
    const float decay = s.parameter->decay == Decay::yes ? decay_ : 0.0f;
    adamw(ctx, s.value, s.m, s.v, s.gradient, scale_1, options_, rate, decay, updates);
  }
}

std::vector<TensorPiece> ShardedAdamW::pieces() {
  std::vector<TensorPiece> pieces;
  for (Segment& s : segments_) {
    const std::int64_t total = s.parameter->shape.numel();
    const std::string& name = s.parameter->name;
    pieces.push_back({name + "/weight", s.begin, s.end, total, s.value});
    pieces.push_back({name + "/m", s.begin, s.end, total, s.m});
    pieces.push_back({name + "/v", s.begin, s.end, total, s.v});
  }
  return pieces;
}

}  // namespace seqrank
