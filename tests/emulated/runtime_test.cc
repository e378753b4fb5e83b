// The runtime of the emulated device: what it reports, what it lets pass, and that a report fails
// the test.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <thread>
#include <vector>

#include "backend/context.h"
#include "backend/cuda/runtime.h"
#include "backend/mapped_memory.h"
#include "backend/transfer.h"
#include "tests/emulated/handles.h"
#include "tests/support/emulated/options.h"
#include "tests/support/emulated/sanitizers.h"

namespace seqrank::emu {
namespace {

using cuda::in;
using cuda::out;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class EmulatedRuntime : public testing::Test {
 protected:
  void SetUp() override { cuda_check(cudaSetDevice(0), "cudaSetDevice"); }

  Stream one_{"one"}, two_{"two"};
};

// An operation that does nothing but say what it touches.
template <class... Accesses>
void touch(const Stream& stream, const char* what, Accesses... accesses) {
  enqueue(stream.get(), what, {range(accesses)...}, [] {});
}

TEST_F(EmulatedRuntime, SaysWhatNothingOrders) {
  const DeviceBuffer<float> x(one_, 100);
  touch(two_, "reader", in(x.span().subspan(10, 50)));
  EXPECT_THAT(take_violations(),
              ElementsAre("reader on 'two' reads 200 bytes that cudaMallocAsync on 'one' writes, "
                          "and nothing orders the two"));
  one_.synchronize();
  two_.synchronize();
  touch(two_, "reader", in(x.span()));
  EXPECT_THAT(take_violations(), IsEmpty());
  two_.synchronize();
}

TEST_F(EmulatedRuntime, AnEventOrdersWhatCameBeforeItAndNoMore) {
  const DeviceBuffer<float> x(one_, 100), y(one_, 100);
  const Event allocated, written;
  one_.record(allocated);
  two_.wait(allocated);
  touch(two_, "first writer", cuda::update(x.span()));
  two_.record(written);
  touch(two_, "second writer", cuda::update(y.span()));
  one_.wait(written);
  touch(one_, "reader of x", in(x.span()));
  EXPECT_THAT(take_violations(), IsEmpty());
  touch(one_, "reader of y", in(y.span()));
  EXPECT_THAT(take_violations(), ElementsAre(HasSubstr("reader of y on 'one' reads 400 bytes that "
                                                       "second writer on 'two' writes")));
  two_.synchronize();
}

TEST_F(EmulatedRuntime, ReportsMisuse) {
  const DeviceBuffer<float> x(one_, 4);
  std::vector<float> pageable(4);
  const Event never;
  one_.wait(never);
  EXPECT_THAT(take_violations(), ElementsAre(HasSubstr("an event that was never recorded")));
  copy(one_, std::span(pageable), x.span());
  EXPECT_THAT(take_violations(), ElementsAre(HasSubstr("pageable host memory")));
  EXPECT_NE(cudaMemsetAsync(x.span().data(), 0, 4, nullptr), cudaSuccess);
  EXPECT_THAT(take_violations(), ElementsAre(HasSubstr("uses the default stream")));
  cuda_check(cudaSetDevice(1), "cudaSetDevice");
  touch(one_, "a kernel", in(x.span()));
  cuda_check(cudaSetDevice(0), "cudaSetDevice");
  EXPECT_THAT(take_violations(), ElementsAre(HasSubstr("a stream of another device")));
  touch(one_, "a kernel", in(std::span(x.span().data(), 5)));
  EXPECT_THAT(take_violations(), ElementsAre(HasSubstr("out of bounds")));
  check_shape("a kernel", {1, 2000});
  EXPECT_THAT(take_violations(), ElementsAre("a kernel: a GPU refuses this launch shape"));
  one_.synchronize();
  cudaGetLastError();
}

TEST_F(EmulatedRuntime, ReportsUseAfterFree) {
  std::span<float> x;
  {
    const DeviceBuffer<float> buffer(one_, 4);
    x = buffer.span();
  }
  touch(one_, "late reader", in(x));
  EXPECT_THAT(take_violations(), ElementsAre("late reader uses memory after it is freed"));
  EXPECT_NE(cudaFreeAsync(x.data(), one_.get()), cudaSuccess);
  EXPECT_THAT(take_violations(), ElementsAre(HasSubstr("freed twice")));
  cudaGetLastError();
  one_.synchronize();
}

TEST_F(EmulatedRuntime, ReportsWhatIsLeftUnwritten) {
  const DeviceBuffer<float> y(one_, 10);
  float* host = on_host(out(y.span()));
  enqueue(one_.get(), "writer", {range(out(y.span()))}, [host] { std::iota(host, host + 7, 0.f); });
  one_.synchronize();
  EXPECT_THAT(take_violations(),
              ElementsAre("writer leaves 3 of 10 elements of an out() argument unwritten, the "
                          "first at 7"));
}

#if !EMU_ASAN && !EMU_TSAN
TEST(EmulatedRuntimeDeathTest, AHostThatUsesADevicePointerIsTold) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const Stream stream("compute");
  const DeviceBuffer<float> x(stream, 1);
  EXPECT_DEATH(x.span()[0] = 1, "perhaps the host uses a device pointer");
}
#endif

TEST_F(EmulatedRuntime, CopiesRows) {
  PinnedBuffer<int> from(12), to(12);
  std::iota(from.write().begin(), from.span().end(), 0);
  std::ranges::fill(to.write(), -1);
  const DeviceBuffer<int> device(one_, 6);
  constexpr std::size_t item = sizeof(int);
  cuda_check(cudaMemcpy2DAsync(device.span().data(), 2 * item, from.span().data() + 1, 4 * item,
                               2 * item, 3, cudaMemcpyHostToDevice, one_.get()),
             "cudaMemcpy2DAsync");
  cuda_check(cudaMemcpy2DAsync(to.span().data(), 3 * item, device.span().data(), 2 * item, 2 * item,
                               3, cudaMemcpyDefault, one_.get()),
             "cudaMemcpy2DAsync");
  one_.synchronize();
  EXPECT_THAT(to.read(), ElementsAre(1, 2, -1, 5, 6, -1, 9, 10, -1, -1, -1, -1));
}

TEST_F(EmulatedRuntime, MeasuresTimeBetweenEvents) {
  const Event begun(cudaEventDefault), ended(cudaEventDefault);
  one_.record(begun);
  enqueue(one_.get(), "sleep", {},
          [] { std::this_thread::sleep_for(std::chrono::milliseconds(5)); });
  one_.record(ended);
  EXPECT_EQ(cudaEventQuery(ended.get()), cudaErrorNotReady);
  ended.synchronize();
  EXPECT_EQ(cudaEventQuery(ended.get()), cudaSuccess);
  float ms = 0;
  cuda_check(cudaEventElapsedTime(&ms, begun.get(), ended.get()), "cudaEventElapsedTime");
  EXPECT_GE(ms, 5);
  const Event untimed;
  one_.record(untimed);
  EXPECT_NE(cudaEventElapsedTime(&ms, begun.get(), untimed.get()), cudaSuccess);
  EXPECT_THAT(take_violations(), ElementsAre(HasSubstr("without timing")));
  cudaGetLastError();
}

TEST_F(EmulatedRuntime, AQueryThatSucceedsOrdersTheHost) {
  PinnedBuffer<float> host(1);
  const DeviceBuffer<float> x(one_, 1);
  cuda_check(cudaMemsetAsync(x.span().data(), 0, 4, one_.get()), "cudaMemsetAsync");
  copy(one_, host.span(), x.span());
  while (cudaStreamQuery(one_.get()) == cudaErrorNotReady) std::this_thread::yield();
  EXPECT_EQ(host.read()[0], 0);
}

void wait_for_sleepers(int tasks, int ms) {
  set_options("stuck_after_s=1");
  const Stream stream("sleepy");
  for (int i = 0; i < tasks; ++i) {
    enqueue(stream.get(), "sleeper", {},
            [ms] { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); });
  }
  stream.synchronize();
}

TEST(EmulatedRuntimeDeathTest, IsStuckWhenNothingIsDoneAnywhere) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(wait_for_sleepers(2, 60'000), "stuck\n  'sleepy': sleeper, then 2 more");
  wait_for_sleepers(3, 400);
}

TEST_F(EmulatedRuntime, MemoryRunsOutAndComesBack) {
  const std::size_t before = std::exchange(options().device_memory, 1 << 20);
  for (int i = 0; i < 20; ++i) {
    const DeviceBuffer<char> most(one_, 700 << 10);
    void* more = nullptr;
    EXPECT_EQ(cudaMallocAsync(&more, 700 << 10, one_.get()), cudaErrorMemoryAllocation);
    EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  }
  std::size_t available, total;
  cuda_check(cudaMemGetInfo(&available, &total), "cudaMemGetInfo");
  EXPECT_EQ(available, total);
  options().device_memory = before;
}

// The block is freed behind work that is slow, and the pool holds on to it.
TEST_F(EmulatedRuntime, AnArenaWaitsForWhatWasGivenBackBeforeMemoryIsShort) {
  const Options before = options();
  options().device_memory = 1 << 20;
  options().pool_keeps_freed = true;
  {
    Context ctx(Device::cuda, 1);
    for (int i = 0; i < 3; ++i) {
      const Tensor most = ctx.empty(DType::u8, {700 << 10});
      enqueue(static_cast<cuda::CudaStream&>(ctx.compute()).get(), "sleeper", {},
              [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); });
    }
    const Tensor most = ctx.empty(DType::u8, {700 << 10});
    EXPECT_THROW(ctx.empty(DType::u8, {700 << 10}), Error);
  }
  options() = before;
}

TEST_F(EmulatedRuntime, ManagedMemoryLiesWhereItIsTold) {
  const auto used = [] {
    std::size_t available, total;
    cuda_check(cudaMemGetInfo(&available, &total), "cudaMemGetInfo");
    return total - available;
  };
  const auto place = [&](float* from, std::size_t count, cudaMemLocation where) {
    const std::size_t bytes = count * sizeof(float);
    cudaMemAdvise(from, bytes, cudaMemAdviseSetPreferredLocation, where);
    return cudaMemPrefetchAsync(from, bytes, where, 0, one_.get());
  };
  const cudaMemLocation host{cudaMemLocationTypeHost, 0}, device{cudaMemLocationTypeDevice, 0};
  const std::size_t before = used();
  void* block = nullptr;
  cuda_check(cudaMallocManaged(&block, 100 * sizeof(float)), "cudaMallocManaged");
  const std::span<float> x{static_cast<float*>(block), 100};
  EXPECT_EQ(used(), before);
  cuda_check(place(x.data(), 30, device), "prefetch");
  cuda_check(place(x.data() + 30, 70, host), "prefetch");
  EXPECT_EQ(used(), before + 30 * sizeof(float));

  PinnedBuffer<float> there(100);
  std::iota(there.write().begin(), there.span().end(), 0.f);
  copy(one_, x, there.span());
  one_.synchronize();
  std::ranges::fill(there.write(), 0.f);
  copy(one_, there.span(), x);
  one_.synchronize();
  EXPECT_EQ(there.read()[99], 99);

  EXPECT_NE(place(x.data() + 90, 20, host), cudaSuccess);
  EXPECT_THAT(take_violations(),
              ElementsAre(HasSubstr("cudaMemAdvise: not within managed memory"),
                          HasSubstr("cudaMemPrefetchAsync: not within managed memory")));
  EXPECT_NE(place(x.data(), 100, {cudaMemLocationTypeDevice, 9}), cudaSuccess);
  EXPECT_THAT(take_violations(), testing::SizeIs(2));
  EXPECT_NE(cudaFreeAsync(block, one_.get()), cudaSuccess);
  EXPECT_THAT(take_violations(), ElementsAre(HasSubstr("not an allocation")));
  touch(one_, "writer", cuda::update(x));
  cuda_check(cudaFree(block), "cudaFree");
  EXPECT_THAT(take_violations(),
              ElementsAre("cudaFree on 'the host' writes 400 bytes that writer on 'one' writes, "
                          "and nothing orders the two"));
  EXPECT_EQ(used(), before);
  touch(one_, "late reader", in(x));
  EXPECT_THAT(take_violations(), ElementsAre("late reader uses memory after it is freed"));
  cudaGetLastError();
  one_.synchronize();
}

TEST_F(EmulatedRuntime, MappedMemoryIsOfTheHostButForItsShare) {
  const auto used = [] {
    std::size_t available, total;
    cuda_check(cudaMemGetInfo(&available, &total), "cudaMemGetInfo");
    return total - available;
  };
  const Options options_before = options();
  Context ctx(Device::cuda, 1);
  for (const double share : {0.0, 0.25, 1.0}) {
    const std::size_t before = used();
    {
      Arena arena(make_mapped_memory(ctx, share), 0);
      const Tensor x_KD(arena, DType::f32, {1024, 10}, Tag::parameter);
      EXPECT_EQ(used() - before, static_cast<std::size_t>(share * 40960));
      EXPECT_EQ(arena.bytes(Tag::parameter), 40960u);
      Tensor host(ctx.host_arena(), DType::f32, {1024, 10}, Tag::workspace);
      std::iota(host.data<float>(), host.data<float>() + 10240, 0.f);
      Tensor x = x_KD;
      copy_to_device(ctx, x, host);
      EXPECT_EQ(to_host(ctx, x_KD.rows(1023, 1024)).data<float>()[9], 10239);
    }
    EXPECT_EQ(used(), before);
  }
  options().device_memory = used() + (1 << 20);
  Arena arena(make_mapped_memory(ctx, 0.5), 0);
  const Tensor fits(arena, DType::u8, {1 << 20}, Tag::parameter);
  EXPECT_THAT([&] { Tensor(arena, DType::u8, {4 << 20}, Tag::parameter); },
              testing::ThrowsMessage<Error>(HasSubstr("lower --table.cache")));
  options().managed_access = false;
  EXPECT_THAT([&] { make_mapped_memory(ctx, 0); },
              testing::ThrowsMessage<Error>(HasSubstr("cannot read the host's memory")));
  options() = options_before;
}

TEST(EmulatedOptions, RefuseWhatTheyDoNotKnow) {
  const Options before = options();
  set_options("schedule=greedy,os_threads=3");
  EXPECT_EQ(options().schedule, Schedule::greedy);
  EXPECT_EQ(options().os_threads, 3u);
  options() = before;
  EXPECT_THROW(set_options("schedule=sideways"), Error);
  EXPECT_THROW(set_options("devices=two"), Error);
  EXPECT_THROW(set_options("colour=1"), Error);
  EXPECT_THROW(set_options("schedule"), Error);
}

// Runs itself, with a violation.
TEST(EmulatedListener, FailsATestWithAViolation) {
  if (std::getenv("SEQRANK_PLANT_VIOLATION") != nullptr) return violation("planted");
  std::array<char, 4096> path{};
  ASSERT_GT(readlink("/proc/self/exe", path.data(), path.size() - 1), 0);
  const std::string command = fmt::format(
      "SEQRANK_PLANT_VIOLATION=1 {} --gtest_filter=EmulatedListener.FailsATestWithAViolation 2>&1",
      path.data());
  std::FILE* pipe = popen(command.c_str(), "r");
  std::string output;
  std::array<char, 4096> buffer;
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), n);
  }
  EXPECT_EQ(WEXITSTATUS(pclose(pipe)), kViolationExit) << output;
  EXPECT_THAT(output, HasSubstr("[  FAILED  ] EmulatedListener.FailsATestWithAViolation"));
}

}  // namespace
}  // namespace seqrank::emu
