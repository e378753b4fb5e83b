// The suite over TCP, its ranks as threads of this process, which ThreadSanitizer can follow; and
// how ranks fail to meet. What needs processes is in tcp_failure_test.py.
#include "collective/tcp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <fstream>
#include <thread>
#include <vector>

#include "collective/tcp_socket.h"
#include "tests/collective/communicator_suite.h"
#include "tests/support/scratch.h"

namespace seqrank {
namespace {

using test::Scratch;
using testing::HasSubstr;

// body(rank) on a thread a rank; the errors' words, by rank.
std::vector<std::string> on_threads(int ranks, const std::function<void(int)>& body) {
  std::vector<std::string> errors(ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      try {
        body(rank);
      } catch (const std::exception& error) {
        errors[rank] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return errors;
}

template <int kRanks>
struct Tcp {
  static void run(const std::function<void(SuiteRanks)>& body) {
    const Scratch scratch;
    const auto errors = on_threads(kRanks, [&](int rank) {
      const auto world = make_tcp_communicator({rank, kRanks, "", 0, scratch.file("meeting")});
      Context ctx(Device::cpu, 1);
      body({*world, ctx});
    });
    EXPECT_THAT(errors, testing::Each(std::string()));
    EXPECT_FALSE(std::filesystem::exists(scratch.file("meeting")));
  }
};

using Worlds = testing::Types<Tcp<1>, Tcp<2>, Tcp<3>, Tcp<4>>;
INSTANTIATE_TYPED_TEST_SUITE_P(Tcp, CommunicatorSuite, Worlds);
INSTANTIATE_TYPED_TEST_SUITE_P(Tcp, HostCommunicatorSuite, Worlds);

TEST(TcpMeeting, ByAddress) {
  const int port = port_of(listen_on(0));  // free a moment ago
  const auto errors = on_threads(3, [&](int rank) {
    const auto world = make_tcp_communicator({rank, 3, "localhost", port});
    EXPECT_EQ(world->all_reduce_value(std::int64_t{rank}, Reduce::sum), 3);
  });
  EXPECT_THAT(errors, testing::Each(std::string()));
}

TEST(TcpMeeting, WhatAnEarlierRunLeftMisleadsNobody) {
  const Scratch scratch;
  std::ofstream(scratch.file("meeting")) << "4711 1 127.0.0.1\n";
  const auto errors = on_threads(2, [&](int rank) {
    if (rank == 0) std::this_thread::sleep_for(std::chrono::milliseconds(300));
    make_tcp_communicator({rank, 2, "", 0, scratch.file("meeting")})->barrier();
  });
  EXPECT_THAT(errors, testing::Each(std::string()));
}

TEST(TcpMeeting, StrangersAreSentAway) {
  const int port = port_of(listen_on(0));
  const auto errors = on_threads(3, [&](int rank) {
    if (rank == 2) {  // somebody who looks for open ports
      Socket talkative;
      while (!talkative) talkative = connect_to("127.0.0.1", port, deadline_in(10));
      const std::string request(300, 'x');
      talkative.send_all(request.data(), request.size(), deadline_in(1));
      const Socket silent = connect_to("127.0.0.1", port, deadline_in(1));
    } else {
      if (rank == 1) std::this_thread::sleep_for(std::chrono::milliseconds(300));
      make_tcp_communicator({rank, 2, "127.0.0.1", port})->barrier();
    }
  });
  EXPECT_THAT(errors, testing::Each(std::string()));
}

TEST(TcpMeeting, NamesWhoHasNotCome) {
  const Scratch scratch;
  const auto errors = on_threads(3, [&](int rank) {
    if (rank == 1) return;
    make_tcp_communicator({rank, 3, "", 0, scratch.file("meeting"), 1.0})->barrier();
  });
  EXPECT_THAT(errors[0], HasSubstr("1 s and no word from rank 1 of 3"));
  EXPECT_EQ(errors[2], errors[0]);
}

TEST(TcpMeeting, NamesWhereRank0IsNot) {
  const int port = port_of(listen_on(0));
  const auto errors = on_threads(1, [&](int) {
    make_tcp_communicator({1, 2, "127.0.0.1", port, "", .3});
  });
  EXPECT_THAT(errors[0], HasSubstr("no answer from rank 0 at 127.0.0.1:" + std::to_string(port)));
}

TEST(TcpMeeting, TwoOfOneRankAreTold) {
  const Scratch scratch;
  const auto errors = on_threads(3, [&](int process) {
    const int rank = process == 0 ? 0 : 1;
    make_tcp_communicator({rank, 3, "", 0, scratch.file("meeting"), 10})->barrier();
  });
  for (const std::string& error : errors) EXPECT_THAT(error, HasSubstr("there are two of rank 1"));
}

TEST(TcpMeeting, DifferentSizesAreTold) {
  const Scratch scratch;
  const auto errors = on_threads(2, [&](int rank) {
    make_tcp_communicator({rank, 2 + rank, "", 0, scratch.file("meeting"), 10})->barrier();
  });
  for (const std::string& error : errors)
    EXPECT_THAT(error, HasSubstr("rank 0 was told of 2 ranks, rank 1 of 3"));
}

TEST(TcpMeeting, ARankBeyondTheSizeIsRefused) {
  EXPECT_THROW(make_tcp_communicator({2, 2, "127.0.0.1", 1}), Error);
  EXPECT_THROW(make_tcp_communicator({0, 0, "127.0.0.1", 1}), Error);
}

}  // namespace
}  // namespace seqrank
