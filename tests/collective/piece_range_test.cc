// How elements are cut into one piece a rank.
#include <gtest/gtest.h>

#include "collective/communicator.h"

namespace seqrank {
namespace {

TEST(PieceRange, PiecesLieEndToEndAndDifferByAtMostOne) {
  for (int size : {1, 2, 3, 4, 7, 64}) {
    for (std::int64_t n : {0, 1, 2, 3, 63, 64, 65, 1000003}) {
      std::int64_t expected_begin = 0;
      for (int rank = 0; rank < size; ++rank) {
        const auto [begin, end] = Communicator::piece_range(n, rank, size);
        EXPECT_EQ(begin, expected_begin);
        EXPECT_EQ(end - begin, n / size + (rank < n % size ? 1 : 0));
        expected_begin = end;
      }
      EXPECT_EQ(expected_begin, n);
    }
  }
}

TEST(PieceRange, CountsBeyond32Bits) {
  const std::int64_t n = (std::int64_t{1} << 40) + 1;
  const auto [begin, end] = Communicator::piece_range(n, 1, 2);
  EXPECT_EQ(begin, (std::int64_t{1} << 39) + 1);
  EXPECT_EQ(end, n);
}

}  // namespace
}  // namespace seqrank
