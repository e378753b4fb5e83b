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

std::vector<std::string> saved_tensors(const Parameter& parameter) {
  std::vector<std::string> names = {parameter.name + "/weight"};
  if (!parameter.frozen())
    for (const char* moment : {"/m", "/v"}) names.push_back(parameter.name + moment);
  return names;
}

ShardedAdamW::ShardedAdamW(Context& ctx, ParameterStore& store, const GradientExchange& exchange,
                           const AdamW& options, float decay)
    : options_(options) {
  for (const GradientExchange::Bucket& bucket : exchange.buckets()) {
    const auto own = bucket.own;
    if (own.begin >= own.end || bucket.apart != nullptr) continue;
    if (!bucket.frozen) pieces_.push_back(make_piece(ctx, store, own, decay));
    for (const Parameter& p : store.parameters()) {
      // Rows that nobody reads, up to the extent, are zeros without gradients, and stay so.
      const std::int64_t begin = std::max(own.begin, p.offset);
      const std::int64_t end =
          std::max(begin, std::min(own.end, p.offset + p.shape_here().numel()));
      const bool lies_here = !p.apart && begin < std::min(own.end, p.offset + p.extent);
      if (!lies_here || (begin == end && p.split.ranks == 1)) continue;
      Segment segment{
          &p, begin - p.offset, end - p.offset, store.values().flat_range(begin, end), {}, {}};
      if (!bucket.frozen) {
        segment.m = pieces_.back().m.flat_range(begin - own.begin, end - own.begin);
        segment.v = pieces_.back().v.flat_range(begin - own.begin, end - own.begin);
      }
      segments_.push_back(std::move(segment));
    }
  }
}

ShardedAdamW::Piece ShardedAdamW::make_piece(Context& ctx, ParameterStore& store,
                                             Communicator::Range own, float decay) {
  Piece piece{store.values().flat_range(own.begin, own.end),
              store.gradients().flat_range(own.begin, own.end),
              ctx.empty(DType::f32, {own.end - own.begin}, Tag::optimiser),
              ctx.empty(DType::f32, {own.end - own.begin}, Tag::optimiser),
              {}};
  fill(ctx, piece.m, 0);
  fill(ctx, piece.v, 0);
  std::vector<float> decays, rates;
  std::vector<std::int64_t> ends;
  for (const Parameter& p : store.parameters()) {
    const std::int64_t end = std::min(own.end, p.offset + p.extent);
    if (p.apart || std::max(own.begin, p.offset) >= end) continue;
    decays.push_back(p.decay == Decay::yes ? decay : 0.0f);
    rates.push_back(p.rate);
    ends.push_back(end - own.begin);
  }
  piece.parts = {on_device(ctx, decays), on_device(ctx, rates), on_device(ctx, ends)};
  return piece;
}

void ShardedAdamW::add_squared_norm(Context& ctx, Tensor& sum_1) {
  for (const Piece& piece : pieces_) seqrank::add_squared_norm(ctx, sum_1, piece.gradient);
}

void ShardedAdamW::update(Context& ctx, const Tensor& scale_1, float rate, std::int64_t updates) {
  for (Piece& p : pieces_)
    adamw(ctx, p.value, p.m, p.v, p.gradient, scale_1, options_, rate, p.parts, updates);
}

std::vector<TensorPiece> ShardedAdamW::pieces() {
  std::vector<TensorPiece> pieces;
  for (Segment& s : segments_) {
    if (s.parameter->split.ranks > 1) continue;
    const std::vector<std::string> names = saved_tensors(*s.parameter);
    const Tensor tensors[] = {s.value, s.m, s.v};
    for (std::size_t i = 0; i < names.size(); ++i)
      pieces.push_back({names[i], s.begin, s.end, s.parameter->shape.numel(), tensors[i]});
  }
  return pieces;
}

// On every rank, with rows of its own or without.
std::vector<DealtRows> ShardedAdamW::dealt_rows() {
  std::vector<DealtRows> all;
  for (Segment& s : segments_) {
    if (s.parameter->split.ranks == 1) continue;
    const std::vector<std::string> names = saved_tensors(*s.parameter);
    const Tensor tensors[] = {s.value, s.m, s.v};
    const std::int64_t width = s.parameter->shape[1];
    for (std::size_t i = 0; i < names.size(); ++i)
      all.push_back({names[i], s.parameter->shape[0],
                     tensors[i].reshape({(s.end - s.begin) / width, width})});
  }
  return all;
}

}  // namespace seqrank
