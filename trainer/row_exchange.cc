// Routes by owner. Where owners hold neighbouring rows, ids that rise are sorted by owner: what
// goes to one lies together, and what comes back lies as it was asked for. Rows that are dealt
// round to ranks are brought into that order, and back.
#include "trainer/row_exchange.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "backend/ops/embedding.h"
#include "backend/ops/unique_rows.h"
#include "backend/transfer.h"

namespace seqrank {
namespace {

std::vector<std::int64_t> times(std::vector<std::int64_t> counts, std::int64_t factor) {
  for (std::int64_t& count : counts) count *= factor;
  return counts;
}

// Row n is row place_N[n] of x; x itself where there are no places.
Tensor reordered(Context& ctx, const Tensor& x_ND, const Tensor& place_N) {
  if (!place_N) return x_ND;
  Tensor y_ND = ctx.empty(DType::f32, x_ND.shape());
  gather_rows(ctx, y_ND, x_ND, place_N);
  return y_ND;
}

bool same_memory(const Tensor& a, const Tensor& b) {
  return a.raw() == b.raw();
}

}  // namespace

RowExchange::RowExchange(Context& ctx, const Communicators& ranks, std::int64_t rows,
                         Overlap overlap, const TableGroups& groups)
    : ctx_(ctx),
      ranks_(ranks),
      groups_(groups),
      owners_(groups, rows, ranks.rank(), ranks.size()),
      overlap_(overlap) {}

void RowExchange::begin(const Tensor& id_U, const Tensor& next_id_U) {
  touched_.clear();
  if (!id_U || owners_.rows() == 0) {
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
  if (!now_.place_U) return;
  now_.place_U = to_device(ctx_, now_.place_U);
  now_.order_U = to_device(ctx_, now_.order_U);
}

void RowExchange::tell_next() {
  if (next_.id_U && !next_.served) next_ = tell(next_.id_U);
}

// By owner, those of one in rising order.
void RowExchange::sort_by_owner(Route& route, std::span<const RowOwners::Seat> seats) {
  std::vector<std::int64_t> next(ranks_.size(), 0);
  std::exclusive_scan(route.asked.begin(), route.asked.end(), next.begin(), std::int64_t{0});
  route.place_U = Tensor(ctx_.host_arena(), DType::i32, route.id_U.shape(), Tag::batch);
  route.order_U = Tensor(ctx_.host_arena(), DType::i32, route.id_U.shape(), Tag::batch);
  for (std::size_t u = 0; u < seats.size(); ++u) {
    const std::int64_t place = next[seats[u].owner]++;
    route.place_U.data<std::int32_t>()[u] = static_cast<std::int32_t>(place);
    route.order_U.data<std::int32_t>()[place] = static_cast<std::int32_t>(u);
  }
}

RowExchange::Route RowExchange::tell(const Tensor& id_U) {
  Route route;
  route.id_U = id_U;
  route.asked.resize(ranks_.size());
  std::vector<RowOwners::Seat> seats;
  for (const std::int32_t id : id_U.span<std::int32_t>()) {
    seats.push_back(owners_.seat_of(id));
    ++route.asked[seats.back().owner];
  }
  if (groups_.size() > 1) sort_by_owner(route, seats);
  Tensor wanted_U(ctx_.host_arena(), DType::i32, id_U.shape(), Tag::batch);
  for (std::size_t u = 0; u < seats.size(); ++u) {
    const auto place = route.place_U ? route.place_U.data<std::int32_t>()[u] : u;
    wanted_U.data<std::int32_t>()[place] = static_cast<std::int32_t>(seats[u].row);
  }
  route.served = ranks_.host.all_to_all_counted(wanted_U, route.asked);
  route.told = ranks_.host.stream().record();
  if (overlap_ == Overlap::no) ctx_.compute().wait(route.told);
  return route;
}

FetchedRows RowExchange::fetch(Parameter& table_VD, const Tensor& id_U) {
  SR_ASSERT(now_.served && now_.id_U.shape() == id_U.shape(),
            "{}: other rows are looked up than the step began with", table_VD.name);
  const std::int64_t d = table_VD.shape[1];
  if (table_VD.made_late() && !ctx_.plans())
    table_VD.make_rows(owners_.own().begin, now_.served->pieces.span<std::int32_t>());
  Tensor row_RD = ctx_.empty(DType::f32, {now_.own_id_R.dim(0), d});
  gather_rows(ctx_, row_RD, own_rows(table_VD.local_value(), table_VD), now_.own_id_R);
  Tensor row_UD = ctx_.empty(DType::f32, {id_U.dim(0), d});
  Communicator& device = ranks_.device;
  device.stream().wait(ctx_.compute().record());
  device.all_to_all_v(row_UD, times(now_.asked, d), row_RD, times(now_.served->counts, d));
  ctx_.compute().wait(device.stream().record());
  return {reordered(ctx_, row_UD, now_.place_U),
          [this, &table_VD, route = now_](const Tensor& drow_UD) {
            give_back(table_VD, route, reordered(ctx_, drow_UD, route.order_U));
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
  arrivals_.push_back({&table_VD, route.served, route.own_id_R, drow_RD, drow_UD});
}

void RowExchange::add_given_back() {
  for (const Arrival& a : arrivals_) {
    if (a.table->apart) {
      touched_.push_back(summed(a));
      continue;
    }
    Tensor gradient_KD = own_rows(a.table->gradient, *a.table);
    std::int64_t begin = 0;
    for (std::int64_t rows : a.served->counts) {
      scatter_add_rows(ctx_, gradient_KD, a.own_id_R.rows(begin, begin + rows),
                       a.drow_RD.rows(begin, begin + rows));
      begin += rows;
    }
  }
  arrivals_.clear();
}

// Several ranks may have looked up a row. Where memory is planned, which is not known.
TouchedRows RowExchange::summed(const Arrival& arrival) {
  for (const TouchedRows& other : touched_)
    SR_ASSERT(other.table != arrival.table, "{}: looked up twice in a step", arrival.table->name);
  if (ranks_.size() == 1 || ctx_.plans()) return {arrival.table, arrival.own_id_R, arrival.drow_RD};
  const UniqueRows rows =
      to_device(ctx_, unique_rows(ctx_.host_arena(), arrival.served->pieces.span<std::int32_t>()));
  Tensor g_UD = ctx_.empty(DType::f32, {rows.id_U.dim(0), arrival.drow_RD.dim(1)});
  sum_rows(ctx_, g_UD, arrival.drow_RD, rows);
  return {arrival.table, rows.id_U, g_UD};
}

Tensor RowExchange::own_rows(const Tensor& here_KD, const Parameter& table_VD) const {
  SR_ASSERT(table_VD.shape[0] == owners_.rows() && table_VD.split.ranks == groups_.size() &&
                table_VD.extent * groups_.size() ==
                    owners_.rows_a_rank() * ranks_.size() * table_VD.shape[1],
            "{}: its {} elements are not {} rows laid out over {} ranks in groups of {}",
            table_VD.name, table_VD.extent, owners_.rows(), ranks_.size(), groups_.size());
  return here_KD.rows(owners_.own().begin, owners_.own().end);
}

}  // namespace seqrank
