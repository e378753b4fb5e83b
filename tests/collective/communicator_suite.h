// One typed suite over all transports. A type says how ranks are run:
//   static void run(const std::function<void(Communicator&)>& body);
// What is checked is in communicator_suite.cc.
#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "collective/communicator.h"

namespace seqrank {

void check_all_reduce(Communicator& ranks);
void check_reduce_scatter(Communicator& ranks);
void check_all_gather(Communicator& ranks);
void check_broadcast(Communicator& ranks);
void check_moves_bytes_and_halves(Communicator& ranks);
void check_all_to_all_v(Communicator& ranks);
void check_several_in_flight_before_waiting(Communicator& ranks);
void check_sums_are_bitwise_equal_on_all_ranks_and_run_to_run(Communicator& ranks);
void check_reads_what_compute_wrote_before_the_call(Communicator& ranks);
void check_split_by_colour_orders_by_key(Communicator& ranks);
void check_split_keeps_the_order_of_ranks_for_equal_keys(Communicator& ranks);
void check_split_shared(Communicator& ranks);
void check_log_and_clock(Communicator& ranks);
void check_values(Communicator& ranks);
void check_texts(Communicator& ranks);
void check_bad_arguments_throw_one_line_and_nothing_is_sent(Communicator& ranks);

template <class Ranks>
class CommunicatorSuite : public testing::Test {};
TYPED_TEST_SUITE_P(CommunicatorSuite);

TYPED_TEST_P(CommunicatorSuite, AllReduce) {
  TypeParam::run(check_all_reduce);
}
TYPED_TEST_P(CommunicatorSuite, ReduceScatter) {
  TypeParam::run(check_reduce_scatter);
}
TYPED_TEST_P(CommunicatorSuite, AllGather) {
  TypeParam::run(check_all_gather);
}
TYPED_TEST_P(CommunicatorSuite, Broadcast) {
  TypeParam::run(check_broadcast);
}
TYPED_TEST_P(CommunicatorSuite, MovesBytesAndHalves) {
  TypeParam::run(check_moves_bytes_and_halves);
}
TYPED_TEST_P(CommunicatorSuite, AllToAllV) {
  TypeParam::run(check_all_to_all_v);
}
TYPED_TEST_P(CommunicatorSuite, SeveralInFlightBeforeWaiting) {
  TypeParam::run(check_several_in_flight_before_waiting);
}
TYPED_TEST_P(CommunicatorSuite, SumsAreBitwiseEqualOnAllRanksAndRunToRun) {
  TypeParam::run(check_sums_are_bitwise_equal_on_all_ranks_and_run_to_run);
}
TYPED_TEST_P(CommunicatorSuite, ReadsWhatComputeWroteBeforeTheCall) {
  TypeParam::run(check_reads_what_compute_wrote_before_the_call);
}
TYPED_TEST_P(CommunicatorSuite, SplitByColourOrdersByKey) {
  TypeParam::run(check_split_by_colour_orders_by_key);
}
TYPED_TEST_P(CommunicatorSuite, SplitKeepsTheOrderOfRanksForEqualKeys) {
  TypeParam::run(check_split_keeps_the_order_of_ranks_for_equal_keys);
}
TYPED_TEST_P(CommunicatorSuite, SplitShared) {
  TypeParam::run(check_split_shared);
}
TYPED_TEST_P(CommunicatorSuite, LogAndClock) {
  TypeParam::run(check_log_and_clock);
}
TYPED_TEST_P(CommunicatorSuite, Values) {
  TypeParam::run(check_values);
}
TYPED_TEST_P(CommunicatorSuite, Texts) {
  TypeParam::run(check_texts);
}
TYPED_TEST_P(CommunicatorSuite, BadArgumentsThrowOneLineAndNothingIsSent) {
  TypeParam::run(check_bad_arguments_throw_one_line_and_nothing_is_sent);
}

REGISTER_TYPED_TEST_SUITE_P(CommunicatorSuite, AllReduce, ReduceScatter, AllGather, Broadcast,
                            MovesBytesAndHalves, AllToAllV, SeveralInFlightBeforeWaiting,
                            SumsAreBitwiseEqualOnAllRanksAndRunToRun,
                            ReadsWhatComputeWroteBeforeTheCall, SplitByColourOrdersByKey,
                            SplitKeepsTheOrderOfRanksForEqualKeys, SplitShared, LogAndClock, Values,
                            Texts, BadArgumentsThrowOneLineAndNothingIsSent);

}  // namespace seqrank
