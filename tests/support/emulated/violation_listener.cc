// Linked into a test program, lets each test fail during which the emulated device found a
// violation. What is found between tests fails the program (runtime.h). A test that expects
// violations takes them.
#include <gtest/gtest.h>

#include "tests/support/emulated/runtime.h"

namespace seqrank::emu {
namespace {

class ViolationListener : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override { before_ = violations(); }
  void OnTestEnd(const testing::TestInfo&) override {
    EXPECT_LE(violations(), before_) << "the emulated device found violations, see above";
  }
  std::size_t before_ = 0;
};

[[maybe_unused]] const bool listens = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new ViolationListener);
  return true;
}();

}  // namespace
}  // namespace seqrank::emu
