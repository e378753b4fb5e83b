// Failure among thread ranks: nobody waits for ever, and the first error is the one that is told.
#include "collective/thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

namespace seqrank {
namespace {

using testing::HasSubstr;

std::string message_of_ranks(int ranks, const std::function<void(Communicator&)>& body) {
  try {
    with_ranks(ranks, body);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

void all_reduce(Communicator& ranks, DType type, std::int64_t n) {
  Arena arena;
  Tensor x(arena, type, {n}, Tag::workspace);
  std::fill_n(static_cast<char*>(x.raw()), x.bytes(), 0);
  ranks.all_reduce(x, Reduce::sum);
  ranks.stream().synchronize();
}

TEST(WithRanks, RethrowsTheFirstErrorWithItsType) {
  EXPECT_THROW(with_ranks(4,
                          [](Communicator& ranks) {
                            if (ranks.rank() == 2) throw std::out_of_range("no such row");
                            ranks.barrier();
                          }),
               std::out_of_range);
}

TEST(WithRanks, PeersOfAFailedRankLearnWhoAndWhy) {
  std::vector<std::string> seen(4);
  EXPECT_EQ(message_of_ranks(4,
                             [&](Communicator& ranks) {
                               if (ranks.rank() == 2) throw std::runtime_error("no such row");
                               try {
                                 all_reduce(ranks, DType::f32, 10);
                               } catch (const Error& error) {
                                 seen[ranks.rank()] = error.what();
                                 EXPECT_EQ(error.kind(), ErrorKind::peers);
                                 throw;
                               }
                             }),
            "no such row");
  for (int rank : {0, 1, 3}) EXPECT_THAT(seen[rank], HasSubstr("rank 2 failed: no such row"));
}

TEST(WithRanks, AnErrorOnTheStreamThatNobodyWaitedForIsTold) {
  EXPECT_EQ(message_of_ranks(2,
                             [](Communicator& ranks) {
                               ranks.stream().enqueue([] { throw std::runtime_error("late"); });
                             }),
            "late");
}

TEST(WithRanks, AbortEndsAllRanksWithTheCode) {
  try {
    with_ranks(3, [](Communicator& ranks) {
      if (ranks.rank() == 1) ranks.abort("disk full", 6);
      ranks.barrier();
    });
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 6);
    EXPECT_STREQ(error.what(), "disk full");
  }
}

TEST(WithRanks, ARankThatEndsEarlyIsNamed) {
  EXPECT_THAT(message_of_ranks(3,
                               [](Communicator& ranks) {
                                 if (ranks.rank() != 1) all_reduce(ranks, DType::f32, 3);
                               }),
              HasSubstr("all_reduce #0 (sum, f32, 3 elements, 12 bytes): rank 1 ended without"));
}

TEST(WithRanks, FailureReachesRanksThatWaitInASplit) {
  EXPECT_EQ(message_of_ranks(4,
                             [](Communicator& ranks) {
                               auto half = ranks.split(ranks.rank() / 2, 0);
                               if (ranks.rank() == 3) throw std::runtime_error("rank three");
                               half->barrier();
                               ranks.barrier();
                             }),
            "rank three");
}

// The part is destroyed by the unwinding error while its call still waits for the other rank.
TEST(WithRanks, AnErrorThatUnwindsASplitWithACallInFlightDoesNotHang) {
  Arena arena;
  EXPECT_EQ(message_of_ranks(2,
                             [&](Communicator& ranks) {
                               auto both = ranks.split(0, 0);
                               Tensor x(arena, DType::f32, {8}, Tag::workspace);
                               if (ranks.rank() == 0) {
                                 both->all_reduce(x, Reduce::sum);
                                 throw std::runtime_error("left");
                               }
                               ranks.barrier();
                             }),
            "left");
}

TEST(Mismatch, OfTheOperationNamesBothSides) {
  const std::string message = message_of_ranks(3, [](Communicator& ranks) {
    all_reduce(ranks, DType::f32, 4);
    if (ranks.rank() == 2) {
      ranks.barrier();
    } else {
      all_reduce(ranks, DType::f32, 4);
    }
  });
  EXPECT_THAT(message, HasSubstr("rank 0 all_reduce #1 (sum, f32, 4 elements, 16 bytes)"));
  EXPECT_THAT(message, HasSubstr("rank 2 barrier #1"));
}

TEST(Mismatch, OfTheCountNamesBothSides) {
  const std::string message = message_of_ranks(
      2, [](Communicator& ranks) { all_reduce(ranks, DType::f64, ranks.rank() == 0 ? 4 : 0); });
  EXPECT_THAT(message, HasSubstr("rank 0 all_reduce #0 (sum, f64, 4 elements, 32 bytes)"));
  EXPECT_THAT(message, HasSubstr("rank 1 all_reduce #0 (sum, f64, 0 elements, 0 bytes)"));
}

TEST(Mismatch, OfTheTypeNamesBothSides) {
  const std::string message = message_of_ranks(2, [](Communicator& ranks) {
    all_reduce(ranks, ranks.rank() == 0 ? DType::f32 : DType::i32, 4);
  });
  EXPECT_THAT(message, HasSubstr("f32"));
  EXPECT_THAT(message, HasSubstr("i32"));
}

TEST(Mismatch, OfAllToAllCountsNamesBothSides) {
  const std::string message = message_of_ranks(2, [](Communicator& ranks) {
    Arena arena;
    const std::vector<std::int64_t> send = {1, 2};
    const std::vector<std::int64_t> receive =
        ranks.rank() == 0 ? std::vector<std::int64_t>{1, 1} : std::vector<std::int64_t>{1, 2};
    Tensor x(arena, DType::u8, {3}, Tag::workspace);
    Tensor y(arena, DType::u8, {receive[0] + receive[1]}, Tag::workspace);
    ranks.all_to_all_v(y, receive, x, send);
    ranks.stream().synchronize();
  });
  EXPECT_THAT(message, HasSubstr("rank 0 sends 2 elements to rank 1, which expects 1"));
}

// Many short collectives, with failures at every place: no race, no hang.
TEST(WithRanks, ManyRoundsWithARankFailingAnywhere) {
  for (int at = 0; at < 40; ++at) {
    std::atomic<int> rounds = 0;
    const std::string message = message_of_ranks(4, [&](Communicator& ranks) {
      Arena arena;
      auto pair = ranks.split(ranks.rank() % 2, 0);
      for (int round = 0; round < 30; ++round) {
        if (round == at && ranks.rank() == at % 4) throw std::runtime_error("planned");
        Tensor x(arena, DType::i64, {17}, Tag::workspace);
        std::ranges::fill(x.span<std::int64_t>(), 1);
        (round % 3 == 0 ? *pair : ranks).all_reduce(x, Reduce::sum);
        ranks.stream().synchronize();
        ASSERT_EQ(x.data<std::int64_t>()[16], round % 3 == 0 ? 2 : 4);
        ++rounds;
      }
    });
    EXPECT_EQ(message, at < 30 ? "planned" : "no error");
    if (at >= 30) {
      EXPECT_EQ(rounds, 120);
    }
  }
}

}  // namespace
}  // namespace seqrank
