// Thread count, devices that are not there, memory limits.
#include "backend/context.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace seqrank {
namespace {

TEST(Context, TakesTheThreadsItIsGiven) {
  EXPECT_EQ(Context(Device::cpu, 3).threads(), 3);
  EXPECT_EQ(Context(Device::cpu).threads(), affinity_threads());
}

TEST(Context, CountsTheAffinityMask) {
  // On a thread of its own: a mask is the thread's.
  std::thread([] {
    cpu_set_t all, one;
    ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &all)) {
        CPU_SET(cpu, &one);
        break;
      }
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(affinity_threads(), 1);
    EXPECT_EQ(Context().threads(), 1);
  }).join();
}

TEST(Context, LimitsMemory) {
  Context ctx(Device::cpu, 1, 1 << 16);
  Tensor fits = ctx.empty(DType::f32, {1000});
  EXPECT_THROW(ctx.empty(DType::f32, {1000000}), Error);
}

TEST(Context, ComputeRunsInOrder) {
  Context ctx(Device::cpu, 1);
  int value = 0;
  ctx.compute().enqueue([&] { value = 1; });
  ctx.compute().synchronize();
  EXPECT_EQ(value, 1);
}

}  // namespace
}  // namespace seqrank
