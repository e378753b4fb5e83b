// Packed sequences for operator tests: offsets, the time-major order, and how many sequences still
// run at each step, all made from a list of lengths. Independent of the loader's own code.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace seqrank {

struct Packing {
  explicit Packing(std::vector<std::int64_t> lengths_of_B) : lengths(std::move(lengths_of_B)) {
    offset = {0};
    for (std::int64_t length : lengths) offset.push_back(offset.back() + length);
    std::vector<std::int64_t> by_length(lengths.size());
    std::iota(by_length.begin(), by_length.end(), 0);
    std::ranges::stable_sort(by_length, std::greater(), [&](auto b) { return lengths[b]; });
    const std::int64_t steps = lengths.empty() ? 0 : *std::ranges::max_element(lengths);
    for (std::int64_t t = 0; t < steps; ++t) {
      const auto alive = [&](auto b) { return lengths[b] > t; };
      sequences_at.push_back(static_cast<std::int32_t>(std::ranges::count_if(by_length, alive)));
      for (std::int64_t b : by_length) {
        if (alive(b)) time_order.push_back(offset[b] + t);
      }
    }
  }
  std::int64_t events() const { return static_cast<std::int64_t>(offset.back()); }
  std::int64_t sequences() const { return static_cast<std::int64_t>(lengths.size()); }

  std::vector<std::int64_t> lengths;
  std::vector<double> offset, time_order;  // as OpCase takes them
  std::vector<std::int32_t> sequences_at;
};

// None at all, all empty, single events, empty and length-1 among others, equal and falling ones,
// and more than one block of rows.
inline std::vector<Packing> packings() {
  std::vector<Packing> all;
  for (const std::vector<std::int64_t>& lengths : std::vector<std::vector<std::int64_t>>{
           {}, {0, 0}, {1}, {5}, {3, 0, 1, 5, 0}, {2, 2, 2}, {1, 1, 1, 1, 1, 1, 1, 1, 4}}) {
    all.emplace_back(lengths);
  }
  return all;
}

}  // namespace seqrank
