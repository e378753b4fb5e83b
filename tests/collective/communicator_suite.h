// One typed suite over all transports. A type says how ranks are run, and on which device:
//   static void run(const std::function<void(SuiteRanks)>& body);
// What a transport of host tensors can do besides is in HostCommunicatorSuite. What is checked is
// in communicator_suite.cc.
#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "backend/context.h"
#include "collective/communicator.h"

namespace seqrank {

// A rank, and the device whose tensors its communicator exchanges.
struct SuiteRanks {
  Communicator& comm;
  Context& ctx;
  int rank() const { return comm.rank(); }
  int size() const { return comm.size(); }
};

void check_all_reduce(SuiteRanks& ranks);
void check_reduce_scatter(SuiteRanks& ranks);
void check_all_gather(SuiteRanks& ranks);
void check_broadcast(SuiteRanks& ranks);
void check_moves_bytes_and_halves(SuiteRanks& ranks);
void check_all_to_all_v(SuiteRanks& ranks);
void check_several_in_flight_before_waiting(SuiteRanks& ranks);
void check_tensors_live_until_their_call_is_done(SuiteRanks& ranks);
void check_sums_are_bitwise_equal_on_all_ranks_and_run_to_run(SuiteRanks& ranks);
void check_split_by_colour_orders_by_key(SuiteRanks& ranks);
void check_split_keeps_the_order_of_ranks_for_equal_keys(SuiteRanks& ranks);
void check_split_shared(SuiteRanks& ranks);
void check_log_and_clock(SuiteRanks& ranks);
void check_bad_arguments_throw_one_line_and_nothing_is_sent(SuiteRanks& ranks);
void check_reads_what_compute_wrote_before_the_call(Communicator& ranks);
void check_all_to_all_counted(Communicator& ranks);
void check_values(Communicator& ranks);
void check_texts(Communicator& ranks);

template <class Ranks>
class CommunicatorSuite : public testing::Test {};
TYPED_TEST_SUITE_P(CommunicatorSuite);

TYPED_TEST_P(CommunicatorSuite, AllReduce) {
  TypeParam::run([](SuiteRanks ranks) { check_all_reduce(ranks); });
}
TYPED_TEST_P(CommunicatorSuite, ReduceScatter) {
  TypeParam::run([](SuiteRanks ranks) { check_reduce_scatter(ranks); });
}
TYPED_TEST_P(CommunicatorSuite, AllGather) {
  TypeParam::run([](SuiteRanks ranks) { check_all_gather(ranks); });
}
TYPED_TEST_P(CommunicatorSuite, Broadcast) {
  TypeParam::run([](SuiteRanks ranks) { check_broadcast(ranks); });
}
TYPED_TEST_P(CommunicatorSuite, MovesBytesAndHalves) {
  TypeParam::run([](SuiteRanks ranks) { check_moves_bytes_and_halves(ranks); });
}
TYPED_TEST_P(CommunicatorSuite, AllToAllV) {
  TypeParam::run([](SuiteRanks ranks) { check_all_to_all_v(ranks); });
}
TYPED_TEST_P(CommunicatorSuite, SeveralInFlightBeforeWaiting) {
  TypeParam::run([](SuiteRanks ranks) { check_several_in_flight_before_waiting(ranks); });
}
TYPED_TEST_P(CommunicatorSuite, TensorsLiveUntilTheirCallIsDone) {
  TypeParam::run([](SuiteRanks ranks) { check_tensors_live_until_their_call_is_done(ranks); });
}
TYPED_TEST_P(CommunicatorSuite, SumsAreBitwiseEqualOnAllRanksAndRunToRun) {
  TypeParam::run(
      [](SuiteRanks ranks) { check_sums_are_bitwise_equal_on_all_ranks_and_run_to_run(ranks); });
}
TYPED_TEST_P(CommunicatorSuite, SplitByColourOrdersByKey) {
  TypeParam::run([](SuiteRanks ranks) { check_split_by_colour_orders_by_key(ranks); });
}
TYPED_TEST_P(CommunicatorSuite, SplitKeepsTheOrderOfRanksForEqualKeys) {
  TypeParam::run(
      [](SuiteRanks ranks) { check_split_keeps_the_order_of_ranks_for_equal_keys(ranks); });
}
TYPED_TEST_P(CommunicatorSuite, SplitShared) {
  TypeParam::run([](SuiteRanks ranks) { check_split_shared(ranks); });
}
TYPED_TEST_P(CommunicatorSuite, LogAndClock) {
  TypeParam::run([](SuiteRanks ranks) { check_log_and_clock(ranks); });
}
TYPED_TEST_P(CommunicatorSuite, BadArgumentsThrowOneLineAndNothingIsSent) {
  TypeParam::run(
      [](SuiteRanks ranks) { check_bad_arguments_throw_one_line_and_nothing_is_sent(ranks); });
}

REGISTER_TYPED_TEST_SUITE_P(CommunicatorSuite, AllReduce, ReduceScatter, AllGather, Broadcast,
                            MovesBytesAndHalves, AllToAllV, SeveralInFlightBeforeWaiting,
                            TensorsLiveUntilTheirCallIsDone,
                            SumsAreBitwiseEqualOnAllRanksAndRunToRun, SplitByColourOrdersByKey,
                            SplitKeepsTheOrderOfRanksForEqualKeys, SplitShared, LogAndClock,
                            BadArgumentsThrowOneLineAndNothingIsSent);

template <class Ranks>
class HostCommunicatorSuite : public testing::Test {};
TYPED_TEST_SUITE_P(HostCommunicatorSuite);

TYPED_TEST_P(HostCommunicatorSuite, ReadsWhatComputeWroteBeforeTheCall) {
  TypeParam::run(
      [](SuiteRanks ranks) { check_reads_what_compute_wrote_before_the_call(ranks.comm); });
}
TYPED_TEST_P(HostCommunicatorSuite, AllToAllCounted) {
  TypeParam::run([](SuiteRanks ranks) { check_all_to_all_counted(ranks.comm); });
}
TYPED_TEST_P(HostCommunicatorSuite, Values) {
  TypeParam::run([](SuiteRanks ranks) { check_values(ranks.comm); });
}
TYPED_TEST_P(HostCommunicatorSuite, Texts) {
  TypeParam::run([](SuiteRanks ranks) { check_texts(ranks.comm); });
}

REGISTER_TYPED_TEST_SUITE_P(HostCommunicatorSuite, ReadsWhatComputeWroteBeforeTheCall,
                            AllToAllCounted, Values, Texts);

}  // namespace seqrank
