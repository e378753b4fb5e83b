// What backend/cuda says of limits, and what it tells vendor libraries: host code that needs no
// kernel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "backend/cuda/launch_limits.h"
#include "backend/cuda/rnn.h"
#include "backend/ops/activation.h"
#include "backend/ops/additive_attention.h"
#include "tests/support/tensor_values.h"

namespace seqrank {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string what(const std::function<void()>& throws) {
  try {
    throws();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::device);
    return error.what();
  }
  return "";
}

TEST(LaunchLimits, KernelsAreNamedWithTheirTemplatesArguments) {
  EXPECT_EQ(cuda::kernel_name("void a::launch(Args ...) [with auto kernel = "
                              "_GLOBAL__N__6f9c7f1a::my_kernel<float, a::Act, true>; Args = {}]"),
            "my_kernel<float, a::Act, true>");
  EXPECT_EQ(cuda::kernel_name("void launch() [with auto kernel = plain_kernel]"), "plain_kernel");
}

TEST(LaunchLimits, SharedMemoryIsNamedWithNeedLimitAndAdvice) {
  cuda::expect_shared_memory("a_kernel", 227 << 10, 227 << 10);
  EXPECT_THAT(what([] { cuda::expect_shared_memory("a_kernel", 258 << 10, 227 << 10); }),
              AllOf(HasSubstr("a_kernel needs 258.0 KiB"), HasSubstr("this device has 227.0 KiB"),
                    HasSubstr("lower --model.width")));
}

TEST(LaunchLimits, AnOperatorThatIsTooWideSaysSo) {
  constexpr std::int64_t kWidth = 8192;
  Context ctx(Device::cuda, 1);
  const auto zeros = [&](Shape shape) {
    Tensor x = ctx.empty(DType::f32, shape);
    fill(ctx, x, 0);
    return x;
  };
  Tensor offset_B1 = ctx.empty(DType::i32, {2});
  set_values(ctx, offset_B1, {0, 1});
  Tensor c_ND = zeros({1, kWidth}), lse_N = zeros({1});
  EXPECT_THAT(what([&] {
                query_attention(ctx, Activation::tanh, c_ND, lse_N, zeros({1, 2}), zeros({1, 2}),
                                zeros({2}), zeros({1, kWidth}), offset_B1);
              }),
              AllOf(HasSubstr("forward_kernel<"), HasSubstr("needs 258.0 KiB of shared memory")));
}

TEST(RnnProblem, LengthsFollowFromTheSequencesOfEachStep) {
  const auto lengths = [](std::vector<std::int32_t> sequences_at_T) {
    cuda::RnnProblem problem{};
    problem.sequences_at_T = sequences_at_T;
    return problem.lengths();
  };
  EXPECT_THAT(lengths({}), ElementsAre());
  EXPECT_THAT(lengths({1}), ElementsAre(1));
  EXPECT_THAT(lengths({1, 1, 1}), ElementsAre(3));
  EXPECT_THAT(lengths({3, 3, 3}), ElementsAre(3, 3, 3));
  EXPECT_THAT(lengths({5, 4, 4, 1, 1}), ElementsAre(5, 3, 3, 3, 1));
}

}  // namespace
}  // namespace seqrank
