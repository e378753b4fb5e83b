// Memory for tables that are trained row by row, other than the context's. Says where they lie and
// holds them; what follows from it for initial values and reads is parameter.h's.
#pragma once

#include <cstdint>
#include <memory>
#include <numeric>
#include <utility>

#include "backend/arena.h"

namespace seqrank {

struct TableMemory {
  enum class Place {
    file,  // zeros at first; rows are made when they are first asked for
    host,  // backend/mapped_memory.h: rows are made at the start, and read block by block
  };
  TableMemory(Place where, std::unique_ptr<Memory> memory, double share)
      : place(where), arena(std::move(memory), 0), device_share(share) {}

  std::int64_t bytes() const {
    const BytesByTag peaks = arena.peak_bytes();
    return std::accumulate(peaks.begin(), peaks.end(), std::int64_t{0});
  }
  std::int64_t bytes_on_device() const {
    return static_cast<std::int64_t>(device_share * static_cast<double>(bytes()));
  }

  Place place;
  Arena arena;
  double device_share;  // host: of each table the first rows, in the device's memory
};

}  // namespace seqrank
