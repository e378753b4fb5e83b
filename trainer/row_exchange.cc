// Routes by owner: since ids rise and owners hold neighbouring rows, what goes to one owner lies
// together, and what comes back lies as it was asked for.
#include "trainer/row_exchange.h"

#include <algorithm>
#include <numeric>

#include "backend/ops/embedding.h"

namespace seqrank {
namespace {

std::int64_t rows_a_rank(const Parameter& table_VD, int ranks) {
  const std::int64_t rows = (table_VD.shape[0] + ranks - 1) / ranks;
  SR_ASSERT(table_VD.access != Access::whole && table_VD.extent == rows * ranks * table_VD.shape[1],
            "{}: its {} elements are not laid out as rows over {} ranks", table_VD.name,
            table_VD.extent, ranks);
  return rows;
}

std::int64_t sum(const std::vector<std::int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

std::vector<std::int64_t> times(std::vector<std::int64_t> counts, std::int64_t factor) {
  for (std::int64_t& count : counts) count *= factor;
  return counts;
}

}  // namespace

FetchedRows RowExchange::fetch(Parameter& table_VD, const Tensor& id_U) {
  const std::int64_t d = table_VD.shape[1];
  const Route route = make_route(rows_a_rank(table_VD, comm_.size()), id_U);
  Tensor row_RD = ctx_.empty(DType::f32, {route.own_id_R.dim(0), d});
  gather_rows(ctx_, row_RD, own_rows(table_VD.local_value(), table_VD), route.own_id_R);
  Tensor row_UD = ctx_.empty(DType::f32, {id_U.dim(0), d});
  comm_.stream().wait(ctx_.compute().record());
  comm_.all_to_all_v(row_UD, times(route.asked, d), row_RD, times(route.served, d));
  ctx_.compute().wait(comm_.stream().record());
  return {row_UD,
          [this, &table_VD, route](const Tensor& drow_UD) { give_back(table_VD, route, drow_UD); }};
}

RowExchange::Route RowExchange::make_route(std::int64_t own_rows, const Tensor& id_U) {
  const int ranks = comm_.size();
  const auto ids = id_U.span<std::int32_t>();
  Route route{std::vector<std::int64_t>(ranks), std::vector<std::int64_t>(ranks), {}};
  Tensor wanted_id_U =
      ctx_.empty(DType::i32, id_U.shape());  // counted from their owner's first row
  for (std::size_t u = 0; u < ids.size(); ++u) {
    const std::int64_t owner = ids[u] / own_rows;
    ++route.asked[owner];
    wanted_id_U.data<std::int32_t>()[u] = static_cast<std::int32_t>(ids[u] - owner * own_rows);
  }

  Tensor asked_P = ctx_.empty(DType::i64, {ranks}), served_P = ctx_.empty(DType::i64, {ranks});
  std::ranges::copy(route.asked, asked_P.data<std::int64_t>());
  const std::vector<std::int64_t> one_each(ranks, 1);
  comm_.all_to_all_v(served_P, one_each, asked_P, one_each);
  ctx_.compute().wait(comm_.stream().record());
  ctx_.compute().synchronize();
  std::ranges::copy(served_P.span<std::int64_t>(), route.served.begin());

  route.own_id_R = ctx_.empty(DType::i32, {sum(route.served)});
  comm_.all_to_all_v(route.own_id_R, route.served, wanted_id_U, route.asked);
  ctx_.compute().wait(comm_.stream().record());
  return route;
}

void RowExchange::give_back(const Parameter& table_VD, const Route& route, const Tensor& drow_UD) {
  const std::int64_t d = table_VD.shape[1];
  Tensor drow_RD = ctx_.empty(DType::f32, {route.own_id_R.dim(0), d});
  comm_.stream().wait(ctx_.compute().record());
  comm_.all_to_all_v(drow_RD, times(route.served, d), drow_UD, times(route.asked, d));
  if (overlap_ == Overlap::no) ctx_.compute().wait(comm_.stream().record());
  arrivals_.push_back({own_rows(table_VD.gradient, table_VD), route.own_id_R, drow_RD});
}

void RowExchange::add_given_back() {
  for (Arrival& a : arrivals_) scatter_add_rows(ctx_, a.gradient_KD, a.own_id_R, a.drow_RD);
  arrivals_.clear();
}

Tensor RowExchange::own_rows(const Tensor& whole_VD, const Parameter& table_VD) const {
  const std::int64_t rows = rows_a_rank(table_VD, comm_.size()), all = table_VD.shape[0];
  return whole_VD.rows(std::min(comm_.rank() * rows, all),
                       std::min((comm_.rank() + 1) * rows, all));
}

}  // namespace seqrank
