// Buckets of the flat parameter block. Knows no model and no optimiser.
#include "trainer/gradient_exchange.h"

#include "backend/ops/activation.h"

namespace seqrank {

GradientExchange::GradientExchange(Context& ctx, ParameterStore& store, Communicator& comm,
                                   const ExchangeOptions& options)
    : ctx_(ctx),
      store_(store),
      comm_(comm),
      overlap_(options.overlap),
      rows_(ctx, comm, options.overlap) {
  bool alone = true;  // whether the last bucket takes no more parameters
  for (const Parameter& p : store.parameters()) {
    const bool by_rows = p.access != Access::whole;
    if (alone || by_rows || 4 * p.extent >= options.bucket_bytes)
      buckets_.push_back({p.offset, p.offset, {}, 0, 0, {}, {}});
    Bucket& bucket = buckets_.back();
    bucket.end = p.offset + p.extent;
    if (p.access != Access::rows) ++bucket.parameters;
    alone = by_rows || 4 * (bucket.end - bucket.begin) >= options.bucket_bytes;
    bucket_of_.push_back(static_cast<int>(buckets_.size()) - 1);
  }
  for (Bucket& bucket : buckets_) {
    const auto own = Communicator::piece_range(bucket.end - bucket.begin, comm.rank(), comm.size());
    bucket.own = {bucket.begin + own.begin, bucket.begin + own.end};
    bucket.gradient = store.gradients().flat_range(bucket.begin, bucket.end);
    bucket.value = store.values().flat_range(bucket.begin, bucket.end);
  }
}

void GradientExchange::begin() {
  fill(ctx_, store_.gradients(), 0);
  for (Bucket& bucket : buckets_) bucket.pending = bucket.parameters;
  next_ = static_cast<int>(buckets_.size()) - 1;
}

TapeHooks GradientExchange::hooks() {
  return {.complete = [this](Parameter& p) { complete(p); },
          .fetch_rows = [this](Parameter& table_VD,
                               const Tensor& id_U) { return rows_.fetch(table_VD, id_U); }};
}

void GradientExchange::complete(const Parameter& p) {
  SR_ASSERT(p.access != Access::rows, "{}: a dense gradient of what is read by rows", p.name);
  --buckets_[bucket_of_[p.index]].pending;
  send_ready();
}

void GradientExchange::finish() {
  for (Bucket& bucket : buckets_) bucket.pending = 0;  // parameters that the loss did not use
  send_ready();
  ctx_.compute().wait(comm_.stream().record());
  rows_.add_given_back();
}

void GradientExchange::send_ready() {
  for (; next_ >= 0 && buckets_[next_].pending == 0; --next_) {
    if (buckets_[next_].parameters == 0) continue;
    comm_.stream().wait(ctx_.compute().record());
    comm_.reduce_scatter(buckets_[next_].gradient, Reduce::sum);
    if (overlap_ == Overlap::no) ctx_.compute().wait(comm_.stream().record());
  }
}

void GradientExchange::gather_values() {
  comm_.stream().wait(ctx_.compute().record());
  for (Bucket& bucket : buckets_) comm_.all_gather(bucket.value);
  ctx_.compute().wait(comm_.stream().record());
}

}  // namespace seqrank
