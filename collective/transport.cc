// How a collective call is named in messages, and the comparison of the ranks' calls.
#include "collective/transport.h"

#include <fmt/format.h>

namespace seqrank {
namespace {

const char* operation_name(Operation operation) {
  static constexpr const char* kNames[] = {"all_reduce", "reduce_scatter", "all_gather",
                                           "broadcast",  "all_to_all_v",   "all_to_all_counted",
                                           "barrier",    "split",          "split_shared"};
  return kNames[static_cast<int>(operation)];
}

const char* reduce_name(int op) {
  static constexpr const char* kNames[] = {"sum", "max", "min"};
  return kNames[op];
}

}  // namespace

std::string Call::name() const {
  return operation_name(operation);
}

std::string Call::str() const {
  const std::string name = fmt::format("{} #{}", operation_name(operation), sequence);
  const std::string size =
      fmt::format("{}, {} elements, {} bytes", dtype_name(dtype), count + sent, bytes());
  switch (operation) {
    case Operation::all_reduce:
    case Operation::reduce_scatter:
      return fmt::format("{} ({}, {})", name, reduce_name(detail), size);
    case Operation::all_gather:
      return fmt::format("{} ({})", name, size);
    case Operation::broadcast:
      return fmt::format("{} (root {}, {})", name, detail, size);
    case Operation::all_to_all_v:
    case Operation::all_to_all_counted:
      return fmt::format("{} (sends {})", name, size);
    case Operation::barrier:
    case Operation::split:
    case Operation::split_shared:
      break;
  }
  return name;
}

void check_same_call(std::span<const Call> calls) {
  for (std::size_t rank = 1; rank < calls.size(); ++rank) {
    SR_CHECK(calls[rank] == calls[0], ErrorKind::peers,
             "the ranks call different collectives: rank 0 {}, rank {} {}; every rank must make "
             "the same calls in the same order",
             calls[0].str(), rank, calls[rank].str());
  }
}

}  // namespace seqrank
