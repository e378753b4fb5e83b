// The words of kernels (device_code.h, words.h) do on the emulated device what CUDA says, in every
// schedule.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "device_code.h"
#include "launch.h"
#include "tests/emulated/handles.h"
#include "tests/support/emulated/options.h"

namespace seqrank::emu {
namespace {

using cuda::in;
using cuda::launch;
using cuda::out;
using cuda::update;

class Words : public testing::TestWithParam<Schedule> {
 protected:
  void SetUp() override { options().schedule = GetParam(); }
  void TearDown() override { options().schedule = Schedule::forward; }

  // What `run` writes to device memory.
  template <class T, class Run>
  std::vector<T> results(std::size_t count, Run run) {
    const DeviceBuffer<T> device(stream_, count);
    PinnedBuffer<T> host(count);
    run(device.span());
    copy(stream_, host.span(), device.span());
    stream_.synchronize();
    const auto read = host.read();
    return {read.begin(), read.end()};
  }

  template <class T>
  void set(std::span<T> device, const std::vector<T>& values) {
    PinnedBuffer<T> host(values.size());
    std::ranges::copy(values, host.write().begin());
    copy(stream_, device, host.span());
    stream_.synchronize();
  }

  Stream stream_{"compute"};
};

__global__ void shuffles_kernel(int* y) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int* mine = y + 8 * threadIdx.x;
  mine[0] = __shfl_sync(~0u, lane, 5);
  mine[1] = __shfl_sync(~0u, lane, 3, 8);
  mine[2] = __shfl_xor_sync(~0u, lane, 4);
  mine[3] = __shfl_down_sync(~0u, lane, 2);
  mine[4] = __shfl_up_sync(~0u, lane, 2, 16);
  mine[5] = static_cast<int>(__ballot_sync(~0u, lane % 3 == 0));
  mine[6] = __any_sync(~0u, lane == 31) + 2 * __all_sync(~0u, lane < 31);
  mine[7] = lane < 8 ? static_cast<int>(__ballot_sync(0xffu, lane > 5)) : 0;
}

TEST_P(Words, ShufflesAndVotesMeetTheLanesOfAWarp) {
  const auto y = results<int>(8 * 64, [&](std::span<int> y) {
    launch<shuffles_kernel>({1, 64}, stream_.get(), out(y));
  });
  for (int t = 0; t < 64; ++t) {
    const int lane = t % 32;
    const std::vector<int> got(y.begin() + 8 * t, y.begin() + 8 * t + 8);
    const std::vector<int> want = {5,
                                   lane / 8 * 8 + 3,
                                   lane ^ 4,
                                   lane < 30 ? lane + 2 : lane,
                                   lane % 16 >= 2 ? lane - 2 : lane,
                                   0x49249249,
                                   1,
                                   lane < 8 ? 0xc0 : 0};
    EXPECT_EQ(got, want) << "thread " << t;
  }
}

struct Counters {
  int sum, most, least, exchanged, bits;
  unsigned long long wide;
  double real;
};

__global__ void atomics_kernel(Counters* c) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(&c->sum, i);
  atomicAdd(&c->wide, 1ull << 40);
  atomicAdd(&c->real, 0.5);
  atomicMax(&c->most, i);
  atomicMin(&c->least, i);
  atomicOr(&c->bits, 1 << i % 8);
  for (int seen = 0, old; (old = atomicCAS(&c->exchanged, seen, seen + 1)) != seen;) seen = old;
}

TEST_P(Words, AtomicsLoseNothing) {
  const auto c = results<Counters>(1, [&](std::span<Counters> c) {
    set(c, {{0, -1, 1000, 0, 0, 0, 0}});
    launch<atomics_kernel>({4, 64}, stream_.get(), update(c));
  });
  EXPECT_EQ(c[0].sum, 255 * 256 / 2);
  EXPECT_EQ(c[0].wide, 256ull << 40);
  EXPECT_EQ(c[0].real, 128);
  EXPECT_EQ(c[0].most, 255);
  EXPECT_EQ(c[0].least, 0);
  EXPECT_EQ(c[0].bits, 0xff);
  EXPECT_EQ(c[0].exchanged, 256);
}

// c = a b for 16x16 matrices: through shared memory, ldmatrix and two products of 16x8.
template <class T>
__global__ void product_kernel(const T* a, const T* b, float* c) {
  SHARED_ARRAY(T, a_tile, 16 * 16);
  SHARED_ARRAY(T, b_tile, 16 * 16);
  const int lane = static_cast<int>(threadIdx.x);
  cuda::copy_async_16(&a_tile[lane * 8], a + lane * 8);
  cuda::copy_async_16(&b_tile[lane * 8], b + lane * 8);
  cuda::copy_commit();
  cuda::copy_wait<0>();
  __syncwarp();
  std::uint32_t ra[4], rb[4];
  const int row = lane % 16 * 16 + lane / 16 * 8;
  cuda::load_matrix_x4(ra, &a_tile[row]);
  cuda::load_matrix_x4_transposed(rb, &b_tile[row]);
  for (int half = 0; half < 2; ++half) {
    float d[4] = {1, 1, 1, 1};
    const std::uint32_t half_b[2] = {rb[2 * half], rb[2 * half + 1]};
    cuda::mma_16816(d, ra, half_b, T{});
    for (int i = 0; i < 4; ++i) {
      c[(lane / 4 + i / 2 * 8) * 16 + half * 8 + lane % 4 * 2 + i % 2] = d[i];
    }
  }
}

template <class T>
std::vector<T> small_integers(int period) {
  std::vector<T> values(256);
  for (int i = 0; i < 256; ++i) values[i] = static_cast<T>(static_cast<float>(i % period - 5));
  return values;
}

template <class T>
std::vector<float> expected_product() {
  const auto a = small_integers<T>(13), b = small_integers<T>(11);
  std::vector<float> c(256, 1);
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 16; ++j) {
      for (int k = 0; k < 16; ++k) {
        c[i * 16 + j] += static_cast<float>(a[i * 16 + k]) * static_cast<float>(b[k * 16 + j]);
      }
    }
  }
  return c;
}

TEST_P(Words, TensorCoresMultiplyBothTypes) {
  const auto product = [&]<class T>(T) {
    const DeviceBuffer<T> a(stream_, 256), b(stream_, 256);
    set(a.span(), small_integers<T>(13));
    set(b.span(), small_integers<T>(11));
    return results<float>(256, [&](std::span<float> c) {
      launch<product_kernel<T>>({1, 32}, stream_.get(), in(a.span()), in(b.span()), out(c));
    });
  };
  EXPECT_EQ(product(__nv_bfloat16{}), expected_product<__nv_bfloat16>());
  EXPECT_EQ(product(__half{}), expected_product<__half>());
}

__global__ void row_sums_kernel(const float4* x, float* y, int n) {
  DYNAMIC_SHARED(float, part);
  float sum = 0;
#pragma unroll 2
  for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) {
    const float4 v = x[static_cast<int>(blockIdx.y) * n + i];
    sum += v.x + v.y + v.z + v.w;
  }
  part[threadIdx.x] = sum;
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
  }
  if (threadIdx.x == 0) y[blockIdx.y] = part[0];
}

TEST_P(Words, BlocksOfManyShapesSumRows) {
  for (const unsigned threads : {1u, 32u, 128u, 256u}) {
    constexpr int kRows = 5, kQuads = 37;
    std::vector<float4> values;
    for (int i = 0; i < kRows * kQuads; ++i) values.push_back(make_float4(1, 2, 3, float(i % 4)));
    const DeviceBuffer<float4> x(stream_, values.size());
    set(x.span(), values);
    const auto y = results<float>(kRows, [&](std::span<float> y) {
      launch<row_sums_kernel>({dim3(1, kRows), threads, threads * sizeof(float)}, stream_.get(),
                              in(x.span()), out(y), kQuads);
    });
    for (int r = 0; r < kRows; ++r) {
      float want = 0;
      for (int i = 0; i < kQuads; ++i) want += 6 + static_cast<float>((r * kQuads + i) % 4);
      EXPECT_EQ(y[r], want) << threads << " threads, row " << r;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Emulated, Words,
                         testing::Values(Schedule::forward, Schedule::reverse, Schedule::random,
                                         Schedule::greedy));

__global__ void deadlock_kernel() {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else if (threadIdx.x < 63) {
    __syncwarp();
  }
  if (threadIdx.x == 63) __shfl_sync(0xc0000000u, 1, 30);
}

__global__ void different_words_kernel() {
  if (threadIdx.x < 16) {
    __syncwarp();
  } else {
    __shfl_sync(~0u, 1, 30);
  }
}

template <auto kernel>
void launch_alone() {
  const Stream stream("compute");
  launch<kernel>({1, 64}, stream.get());
  stream.synchronize();
}

TEST(EmulatedDeadlock, SaysWhereEachThreadWaits) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(launch_alone<deadlock_kernel>(),
               "deadlock in block .0,0,0.: threads 0-31 at __syncthreads, words_test.cu:[0-9]+; "
               "threads 32-62 at __syncwarp, words_test.cu:[0-9]+; "
               "thread 63 at __shfl_sync, words_test.cu:[0-9]+");
  EXPECT_DEATH(launch_alone<different_words_kernel>(),
               "lanes of one warp meet at __shfl_sync and __syncwarp .block 0,0,0 thread 16, "
               "words_test.cu:");
}

}  // namespace
}  // namespace seqrank::emu
