// Which pieces of the parameters a rank updates: one of each bucket, whatever parameters lie in it,
// since a GPU wants few launches, not many small ones.
#include "trainer/sharded_adamw.h"

#include <algorithm>

#include "backend/ops/activation.h"
#include "backend/transfer.h"

namespace seqrank {
namespace {

template <class T>
Tensor on_device(Context& ctx, const std::vector<T>& values) {
  Tensor host(ctx.host_arena(), DTypeOf<T>::value, {static_cast<std::int64_t>(values.size())},
              Tag::optimiser);
  std::ranges::copy(values, host.data<T>());
  return to_device(ctx, host, Tag::optimiser);
}

}  // namespace

ShardedAdamW::ShardedAdamW(Context& ctx, ParameterStore& store, const GradientExchange& exchange,
                           const AdamW& options, float decay)
    : options_(options) {
  for (const GradientExchange::Bucket& bucket : exchange.buckets()) {
    const auto [own_begin, own_end] = bucket.own;
    if (own_begin >= own_end) continue;
    Piece piece{store.values().flat_range(own_begin, own_end),
                store.gradients().flat_range(own_begin, own_end),
                ctx.empty(DType::f32, {own_end - own_begin}, Tag::optimiser),
                ctx.empty(DType::f32, {own_end - own_begin}, Tag::optimiser),
                {}};
    fill(ctx, piece.m, 0);
    fill(ctx, piece.v, 0);
    std::vector<float> decays;
    std::vector<std::int64_t> ends;
    for (const Parameter& p : store.parameters()) {
      // Rows that nobody reads, up to the extent, are zeros without gradients, and stay so.
      const std::int64_t begin = std::max(own_begin, p.offset);
      const std::int64_t end = std::min(own_end, p.offset + p.extent);
      if (begin >= end) continue;
      decays.push_back(p.decay == Decay::yes ? decay : 0.0f);
      ends.push_back(end - own_begin);
      const std::int64_t last = std::min(end, p.offset + p.shape.numel());
      if (begin < last)
        segments_.push_back({&p, begin - p.offset, last - p.offset,
                             piece.value.flat_range(begin - own_begin, last - own_begin),
                             piece.m.flat_range(begin - own_begin, last - own_begin),
                             piece.v.flat_range(begin - own_begin, last - own_begin)});
    }
    piece.decay = {on_device(ctx, decays), on_device(ctx, ends)};
    pieces_.push_back(std::move(piece));
  }
}

void ShardedAdamW::add_squared_norm(Context& ctx, Tensor& sum_1) {
  for (const Piece& piece : pieces_) seqrank::add_squared_norm(ctx, sum_1, piece.gradient);
}

void ShardedAdamW::update(Context& ctx, const Tensor& scale_1, float rate, std::int64_t updates) {
  for (Piece& p : pieces_)
    adamw(ctx, p.value, p.m, p.v, p.gradient, scale_1, options_, rate, p.decay, updates);
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
