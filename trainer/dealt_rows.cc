// One exchange of all with all. Rows of one owner lie in rising order on both sides, so that
// sorting by owner is all that either has to do.
#include "trainer/dealt_rows.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "backend/transfer.h"

namespace seqrank {
namespace {

// How many elements go between this rank as owner, or as holder of a range, and each other rank.
struct Traffic {
  std::vector<std::int64_t> of_owned, of_range;  // by the other rank
};

Communicator::Range rows_of_range(const Communicator& comm, std::int64_t rows, int rank) {
  return Communicator::piece_range(rows, rank, comm.size());
}

// The ranges rise, as own ids do.
Traffic traffic_of(const Communicator& comm, const RowOwners& owners, std::int64_t width) {
  Traffic traffic{std::vector<std::int64_t>(comm.size()), std::vector<std::int64_t>(comm.size())};
  int holder = 0;
  for (std::int64_t k = 0; k < owners.own().end - owners.own().begin; ++k) {
    while (owners.own_id(k) >= rows_of_range(comm, owners.rows(), holder).end) ++holder;
    traffic.of_owned[holder] += width;
  }
  const auto range = rows_of_range(comm, owners.rows(), comm.rank());
  for (std::int64_t id = range.begin; id < range.end; ++id)
    traffic.of_range[owners.seat_of(id).owner] += width;
  return traffic;
}

// Calls copy(row of the range, row of what is sorted by owner).
template <class Copy>
void by_owner(const Communicator& comm, const RowOwners& owners, const Traffic& traffic,
              std::int64_t width, Copy&& copy) {
  std::vector<std::int64_t> next(comm.size());
  std::exclusive_scan(traffic.of_range.begin(), traffic.of_range.end(), next.begin(),
                      std::int64_t{0});
  const auto range = rows_of_range(comm, owners.rows(), comm.rank());
  for (std::int64_t id = range.begin; id < range.end; ++id) {
    std::int64_t& place = next[owners.seat_of(id).owner];
    copy((id - range.begin) * width, place);
    place += width;
  }
}

Tensor host_memory(Context& ctx, std::int64_t elements) {
  return Tensor(ctx.host_arena(), DType::f32, {elements}, Tag::workspace);
}

Tensor own_rows(Context& ctx, const DealtRows& own) {
  if (!own.read) return f32_to_host(ctx, own.row_KD);
  Tensor copy = host_memory(ctx, own.row_KD.numel());
  own.read(0, copy.span<float>());
  return copy;
}

}  // namespace

TensorPiece empty_range(Context& ctx, Communicator& comm, const DealtRows& own) {
  const std::int64_t width = own.row_KD.dim(1);
  const auto rows = rows_of_range(comm, own.rows, comm.rank());
  return {own.name, rows.begin * width, rows.end * width, own.rows * width,
          host_memory(ctx, (rows.end - rows.begin) * width)};
}

TensorPiece range_of(Context& ctx, Communicator& comm, const TableGroups& groups,
                     const DealtRows& own) {
  const std::int64_t width = own.row_KD.dim(1);
  const RowOwners owners(groups, own.rows, comm.rank(), comm.size());
  const Traffic traffic = traffic_of(comm, owners, width);
  TensorPiece range = empty_range(ctx, comm, own);
  range.apart = true;
  Tensor arrived = host_memory(ctx, range.data.numel());
  const Tensor sent = own_rows(ctx, own).reshape({own.row_KD.numel()});
  comm.all_to_all_v(arrived, traffic.of_range, sent, traffic.of_owned);
  comm.stream().synchronize();
  by_owner(comm, owners, traffic, width, [&](std::int64_t to, std::int64_t from) {
    std::copy_n(arrived.data<float>() + from, width, range.data.data<float>() + to);
  });
  return range;
}

void deal_out(Context& ctx, Communicator& comm, const TableGroups& groups, const TensorPiece& range,
              DealtRows& own) {
  const std::int64_t width = own.row_KD.dim(1);
  const RowOwners owners(groups, own.rows, comm.rank(), comm.size());
  const Traffic traffic = traffic_of(comm, owners, width);
  Tensor sorted = host_memory(ctx, range.data.numel());
  by_owner(comm, owners, traffic, width, [&](std::int64_t from, std::int64_t to) {
    std::copy_n(range.data.data<float>() + from, width, sorted.data<float>() + to);
  });
  Tensor arrived = host_memory(ctx, own.row_KD.numel());
  comm.all_to_all_v(arrived, traffic.of_owned, sorted, traffic.of_range);
  comm.stream().synchronize();
  f32_to_device(ctx, own.row_KD, arrived.reshape(own.row_KD.shape()));
  ctx.compute().synchronize();
}

}  // namespace seqrank
