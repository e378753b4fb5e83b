// Buckets of the flat parameter block. Knows no model and no optimiser.
#include "trainer/gradient_exchange.h"

#include "backend/ops/activation.h"

namespace seqrank {

namespace {

// Of the tables that are looked up, which all have the items as rows; 0: there is none.
std::int64_t table_rows(const ParameterStore& store) {
  std::int64_t rows = 0;
  for (const Parameter& p : store.parameters()) {
    if (p.access == Access::whole) continue;
    SR_ASSERT(rows == 0 || rows == p.shape[0], "{}: {} rows, another table has {}", p.name,
              p.shape[0], rows);
    rows = p.shape[0];
  }
  return rows;
}

}  // namespace

GradientExchange::GradientExchange(Context& ctx, ParameterStore& store, const Communicators& ranks,
                                   const ExchangeOptions& options, const TableGroups& groups)
    : ctx_(ctx),
      store_(store),
      comm_(ranks.device),
      overlap_(options.overlap),
      rows_(ctx, ranks, table_rows(store), options.overlap, groups),
      groups_(groups) {
  const auto& parameters = store.parameters();
  bucket_of_.resize(parameters.size());
  bool full = true;  // the newest bucket takes no more
  for (auto p = parameters.rbegin(); p != parameters.rend(); ++p) {
    const bool split = p->split.ranks > 1;
    const bool by_rows = p->access != Access::whole || split;
    if (full || by_rows || p->frozen() != buckets_.back().frozen)
      buckets_.emplace_back().end = p->offset + p->extent;
    if (p->apart) buckets_.back().apart = &*p;
    by_tiles_ = by_tiles_ || p->made_late() || p->on_host();
    Bucket& bucket = buckets_.back();
    bucket.frozen = p->frozen();
    bucket.ranks = split ? groups.across() : &ranks.device;
    bucket.begin = p->offset;
    if (p->access != Access::rows) ++bucket.parameters;
    bucket_of_[p->index] = buckets_.size() - 1;
    full = by_rows || 4 * (bucket.end - bucket.begin) >= options.bucket_bytes;
  }
  for (Bucket& bucket : buckets_) {
    const auto own = Communicator::piece_range(bucket.end - bucket.begin, bucket.ranks->rank(),
                                               bucket.ranks->size());
    bucket.own = {bucket.begin + own.begin, bucket.begin + own.end};
    if (bucket.apart != nullptr) {
      bucket.value = bucket.apart->padded_value();
      continue;
    }
    if (store.gradients()) bucket.gradient = store.gradients().flat_range(bucket.begin, bucket.end);
    bucket.value = store.values().flat_range(bucket.begin, bucket.end);
  }
  store.set_before_read([this](const Parameter& p) { before_read(p); });
}

void GradientExchange::begin(const Tensor& id_U, const Tensor& next_id_U) {
  fill(ctx_, store_.gradients(), 0);
  for (Bucket& bucket : buckets_) bucket.pending = bucket.frozen ? 0 : bucket.parameters;
  sent_ = 0;
  if (values_ == Values::at_owners) values_ = Values::wanted;
  rows_.begin(id_U, next_id_U);
}

TapeHooks GradientExchange::hooks() {
  return {.complete = [this](Parameter& p) { complete(p); },
          .fetch_rows =
              [this](Parameter& table_VD, const Tensor& id_U) {
                FetchedRows rows = rows_.fetch(table_VD, id_U);
                gather_dense();
                rows_.tell_next();
                return rows;
              },
          .table_ranks = table_ranks()};
}

TapeHooks GradientExchange::begin_reading(const Tensor& id_U) {
  SR_ASSERT(values_ == Values::here, "{} rows read between steps without settle()", id_U.numel());
  rows_.begin(id_U, {});
  return {.complete = {},
          .fetch_rows = [this](Parameter& table_VD,
                               const Tensor& row_id_U) { return rows_.fetch(table_VD, row_id_U); },
          .table_ranks = table_ranks()};
}

TableRanks GradientExchange::table_ranks() {
  if (groups_.size() == 1) return {.ranks = {comm_.rank()}};
  const auto between = [this](auto&& call) {
    comm_.stream().wait(ctx_.compute().record());
    call();
    ctx_.compute().wait(comm_.stream().record());
  };
  TableRanks ranks{
      .place = groups_.split().place,
      .ranks = {},
      .all_gather = [=, this](Tensor& x) { between([&] { groups_.within()->all_gather(x); }); },
      .reduce_scatter =
          [=, this](Tensor& x) {
            between([&] { groups_.within()->reduce_scatter(x, Reduce::sum); });
          }};
  const int group = groups_.group(comm_.rank());
  for (int place = 0; place < groups_.size(); ++place)
    ranks.ranks.push_back(groups_.rank_at(group, place));
  return ranks;
}

void GradientExchange::complete(const Parameter& p) {
  SR_ASSERT(p.access != Access::rows, "{}: a dense gradient of what is read by rows", p.name);
  if (p.frozen()) return;
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
  for (; sent_ < buckets_.size() && buckets_[sent_].pending == 0; ++sent_) {
    if (buckets_[sent_].parameters == 0 || buckets_[sent_].frozen) continue;
    comm_.stream().wait(ctx_.compute().record());
    buckets_[sent_].ranks->reduce_scatter(buckets_[sent_].gradient, Reduce::sum);
    if (overlap_ == Overlap::no) ctx_.compute().wait(comm_.stream().record());
  }
}

void GradientExchange::before_read(const Parameter& p) {
  if (values_ == Values::here) return;
  SR_ASSERT(values_ != Values::at_owners, "{}: read between steps without settle()", p.name);
  SR_ASSERT(p.access != Access::rows, "{}: read whole, declared to be read by rows", p.name);
  gather_dense();
  ctx_.compute().wait(buckets_[bucket_of_[p.index]].gathered);
}

// Begun by the first who reads values in a step, not before: rows of a look-up go first.
void GradientExchange::gather_dense() {
  if (values_ != Values::wanted) return;
  values_ = Values::coming;
  for (auto bucket = buckets_.rbegin(); bucket != buckets_.rend(); ++bucket)
    if (bucket->parameters > 0) gather(*bucket);
}

void GradientExchange::gather(Bucket& bucket) {
  if (bucket.frozen && bucket.whole) return;
  comm_.stream().wait(ctx_.compute().record());
  bucket.ranks->all_gather(bucket.value);
  bucket.gathered = comm_.stream().record();
  bucket.whole = true;
  if (overlap_ == Overlap::no) ctx_.compute().wait(bucket.gathered);
}

void GradientExchange::values_restored() {
  for (Bucket& bucket : buckets_) bucket.whole = false;
  values_updated();
}

void GradientExchange::settle() {
  if (values_ == Values::here) return;
  for (Bucket& bucket : buckets_) gather(bucket);
  ctx_.compute().wait(comm_.stream().record());
  values_ = Values::here;
}

}  // namespace seqrank
