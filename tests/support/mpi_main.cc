// main() of test programs whose ranks are MPI processes. --message_bytes=N, --direct_bytes=N and
// --most_elements=N cut messages small, to reach the paths of large ones.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "collective/mpi.h"
#include "tests/support/mpi_world.h"

namespace seqrank {
namespace {

Communicator* world = nullptr;

class FailTogether : public testing::EmptyTestEventListener {
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    fmt::print("rank {}: {}:{}: {}\n", world->rank(),
               result.file_name() == nullptr ? "?" : result.file_name(), result.line_number(),
               result.message());
  }
  void OnTestEnd(const testing::TestInfo& test) override {
    if (test.result()->Failed()) world->abort(test.name(), 1);
  }
};

MpiLimits limits_from(int argc, char** argv) {
  MpiLimits limits;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto value = [&](std::string_view name) {
      return argument.starts_with(name) ? std::stoll(argument.substr(name.size())) : 0;
    };
    if (value("--message_bytes=") > 0) limits.message_bytes = value("--message_bytes=");
    if (value("--direct_bytes=") > 0) limits.direct_bytes = value("--direct_bytes=");
    if (value("--most_elements=") > 0) limits.most_elements = value("--most_elements=");
  }
  return limits;
}

}  // namespace

Communicator& mpi_world() {
  return *world;
}

}  // namespace seqrank

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const auto communicator = seqrank::make_mpi_communicator(seqrank::limits_from(argc, argv));
  seqrank::world = communicator.get();
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  if (communicator->rank() != 0) delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new seqrank::FailTogether);
  const int code = RUN_ALL_TESTS();
  return static_cast<int>(communicator->all_reduce_value(std::int64_t{code}, seqrank::Reduce::max));
}
