// Buckets of the flat parameter block. Knows no model and no optimiser.
#include "trainer/gradient_exchange.h"

#include "backend/ops/activation.h"

namespace seqrank {

GradientExchange::GradientExchange(ParameterStore& store, Communicator& comm,
                                   const ExchangeOptions& options)
    : store_(store), comm_(comm), overlap_(options.overlap) {
  for (const Parameter& p : store.parameters()) {
    const bool full = buckets_.empty() ||
                      4 * (buckets_.back().end - buckets_.back().begin) >= options.bucket_bytes ||
                      4 * p.shape.numel() >= options.bucket_bytes;
    if (full) buckets_.push_back({p.offset, p.offset, {}, 0, 0, {}, {}});
    buckets_.back().end = p.offset + p.shape.numel();
    ++buckets_.back().parameters;
    bucket_of_.push_back(static_cast<int>(buckets_.size()) - 1);
  }
  for (Bucket& bucket : buckets_) {
    const auto own = Communicator::piece_range(bucket.end - bucket.begin, comm.rank(), comm.size());
    bucket.own = {bucket.begin + own.begin, bucket.begin + own.end};
    bucket.gradient = store.gradients().flat_range(bucket.begin, bucket.end);
    bucket.value = store.values().flat_range(bucket.begin, bucket.end);
  }
}

void GradientExchange::begin(Context& ctx) {
  fill(ctx, store_.gradients(), 0);
  for (Bucket& bucket : buckets_) bucket.pending = bucket.parameters;
  next_ = static_cast<int>(buckets_.size()) - 1;
}

void GradientExchange::complete(Context& ctx, const Parameter& p) {
  --buckets_[bucket_of_[p.index]].pending;
  send_ready(ctx);
}

void GradientExchange::finish(Context& ctx) {
  for (Bucket& bucket : buckets_) bucket.pending = 0;  // parameters that the loss did not use
  send_ready(ctx);
  ctx.compute().wait(comm_.stream().record());
}

void GradientExchange::send_ready(Context& ctx) {
  for (; next_ >= 0 && buckets_[next_].pending == 0; --next_) {
    comm_.stream().wait(ctx.compute().record());
    comm_.reduce_scatter(buckets_[next_].gradient, Reduce::sum);
    if (overlap_ == Overlap::no) ctx.compute().wait(comm_.stream().record());
  }
}

void GradientExchange::gather_values(Context& ctx) {
  comm_.stream().wait(ctx.compute().record());
  for (Bucket& bucket : buckets_) comm_.all_gather(bucket.value);
  ctx.compute().wait(comm_.stream().record());
}

}  // namespace seqrank
