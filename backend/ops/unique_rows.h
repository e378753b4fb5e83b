// The rows of a table that a batch looks up, each once, and sums over the events that share a row:
// what is sent of a look-up's gradient. Knows no table and no ranks.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "backend/context.h"

namespace seqrank {

// Of N ids the U distinct ones, and which events look each of them up. All i32. Several lists of
// ids may share id_U: a row that only another list looks up has no events.
struct UniqueRows {
  Tensor id_U;       // rising
  Tensor place_N;    // id_N[n] = id_U[place_N[n]]
  Tensor order_N;    // the events by rising id, those of one id in rising order
  Tensor offset_U1;  // order_N[offset_U1[u] .. offset_U1[u + 1]) are the events of row u
};

// Host work on host memory, to be done where a batch is made: U is known there, so that nothing
// that depends on it ever has to be asked of a device.
UniqueRows unique_rows(Arena& arena, std::span<const std::int32_t> id_N);
// One for each list, with the ids of all.
std::vector<UniqueRows> shared_unique_rows(
    Arena& arena, std::initializer_list<std::span<const std::int32_t>> lists);

// sum_UD[u] = sum of x_ND[n] over the events n of row u, zero without any; written. In rising n on
// a CPU; on a GPU in another order, which also depends on `rows` alone: the same bits in every run.
void sum_rows(Context& ctx, Tensor& sum_UD, const Tensor& x_ND, const UniqueRows& rows);

}  // namespace seqrank
