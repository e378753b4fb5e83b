// Routes by owner: since ids rise and owners hold neighbouring rows, what goes to one owner lies
// together, and what comes back lies as it was asked for.
#include "trainer/row_exchange.h"

#include <algorithm>
#include <utility>

#include "backend/ops/embedding.h"
#include "backend/transfer.h"

namespace seqrank {
namespace {

std::vector<std::int64_t> times(std::vector<std::int64_t> counts, std::int64_t factor) {
  for (std::int64_t& count : counts) count *= factor;
  return counts;
}

bool same_memory(const Tensor& a, const Tensor& b) {
  return a.raw() == b.raw();
}

}  // namespace

RowExchange::RowExchange(Context& ctx, const Communicators& ranks, std::int64_t rows,
                         Overlap overlap)
    : ctx_(ctx),
      ranks_(ranks),
      rows_(rows),
      rows_a_rank_((rows + ranks.size() - 1) / ranks.size()),
      overlap_(overlap) {}

void RowExchange::begin(const Tensor& id_U, const Tensor& next_id_U) {
  if (!id_U || rows_ == 0) {
    now_ = next_ = {};
    return;
  }
  now_ = next_.served && same_memory(id_U, next_.id_U) ? std::move(next_) : tell(id_U);
  next_ = {};
  next_.id_U = next_id_U;
  ctx_.compute().wait(now_.told);  // what hosts do, the host waits for
  const Tensor& came_R = now_.served->pieces;
  Tensor pinned_R(ctx_.host_arena(), DType::i32, came_R.shape(), Tag::batch);
  std::ranges::copy(came_R.span<std::int32_t>(), pinned_R.data<std::int32_t>());
  now_.own_id_R = to_device(ctx_, pinned_R);
}

void RowExchange::tell_next() {
  if (next_.id_U && !next_.served) next_ = tell(next_.id_U);
}

RowExchange::Route RowExchange::tell(const Tensor& id_U) {
  Route route;
  route.id_U = id_U;
  route.asked.resize(ranks_.size());
  const auto ids = id_U.span<std::int32_t>();
  // Counted from their owner's first row.
  Tensor wanted_id_U(ctx_.host_arena(), DType::i32, id_U.shape(), Tag::batch);
  for (std::size_t u = 0; u < ids.size(); ++u) {
    const std::int64_t owner = ids[u] / rows_a_rank_;
    ++route.asked[owner];
    wanted_id_U.data<std::int32_t>()[u] = static_cast<std::int32_t>(ids[u] - owner * rows_a_rank_);
  }
  route.served = ranks_.host.all_to_all_counted(wanted_id_U, route.asked);
  route.told = ranks_.host.stream().record();
  if (overlap_ == Overlap::no) ctx_.compute().wait(route.told);
  return route;
}

FetchedRows RowExchange::fetch(Parameter& table_VD, const Tensor& id_U) {
  SR_ASSERT(now_.served && now_.id_U.shape() == id_U.shape(),
            "{}: other rows are looked up than the step began with", table_VD.name);
  const std::int64_t d = table_VD.shape[1];
  Tensor row_RD = ctx_.empty(DType::f32, {now_.own_id_R.dim(0), d});
  gather_rows(ctx_, row_RD, own_rows(table_VD.local_value(), table_VD), now_.own_id_R);
  Tensor row_UD = ctx_.empty(DType::f32, {id_U.dim(0), d});
  Communicator& device = ranks_.device;
  device.stream().wait(ctx_.compute().record());
  device.all_to_all_v(row_UD, times(now_.asked, d), row_RD, times(now_.served->counts, d));
  ctx_.compute().wait(device.stream().record());
  return {row_UD, [this, &table_VD, route = now_](const Tensor& drow_UD) {
            give_back(table_VD, route, drow_UD);
          }};
}

void RowExchange::give_back(const Parameter& table_VD, const Route& route, const Tensor& drow_UD) {
  if (table_VD.frozen()) return;
  const std::int64_t d = table_VD.shape[1];
  Tensor drow_RD = ctx_.empty(DType::f32, {route.own_id_R.dim(0), d});
  Communicator& device = ranks_.device;
  device.stream().wait(ctx_.compute().record());
  device.all_to_all_v(drow_RD, times(route.served->counts, d), drow_UD, times(route.asked, d));
  if (overlap_ == Overlap::no) ctx_.compute().wait(device.stream().record());
  arrivals_.push_back({own_rows(table_VD.gradient, table_VD), route.served->counts, route.own_id_R,
                       drow_RD, drow_UD});
}

void RowExchange::add_given_back() {
  for (Arrival& a : arrivals_) {
    std::int64_t begin = 0;
    for (std::int64_t rows : a.served) {
      scatter_add_rows(ctx_, a.gradient_KD, a.own_id_R.rows(begin, begin + rows),
                       a.drow_RD.rows(begin, begin + rows));
      begin += rows;
    }
  }
  arrivals_.clear();
}

Tensor RowExchange::own_rows(const Tensor& whole_VD, const Parameter& table_VD) const {
  SR_ASSERT(table_VD.access != Access::whole && table_VD.shape[0] == rows_ &&
                table_VD.extent == rows_a_rank_ * ranks_.size() * table_VD.shape[1],
            "{}: its {} elements are not {} rows laid out over {} ranks", table_VD.name,
            table_VD.extent, rows_, ranks_.size());
  return whole_VD.rows(std::min(ranks_.rank() * rows_a_rank_, rows_),
                       std::min((ranks_.rank() + 1) * rows_a_rank_, rows_));
}

}  // namespace seqrank
