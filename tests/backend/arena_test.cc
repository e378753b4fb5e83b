// Reuse, accounting by tag, limits and thread safety of the arena.
#include "backend/arena.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "backend/check.h"
#include "backend/tensor.h"

namespace seqrank {
namespace {

// Sanitizer builds give every block back to the system, so that misuse is seen.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kKeepsBlocks = false;
#else
constexpr bool kKeepsBlocks = true;
#endif

TEST(Arena, BlocksAreAligned) {
  Arena arena;
  for (std::size_t bytes : {0, 1, 63, 64, 65, 1000, 123457}) {
    auto block = arena.allocate(bytes, Tag::activation);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block->data()) % 64, 0u) << bytes;
    EXPECT_EQ(block->bytes(), bytes);
  }
}

TEST(Arena, SteadyStateReachesTheSystemNever) {
  if (!kKeepsBlocks) GTEST_SKIP() << "sanitizer builds give every block back to the system";
  Arena arena;
  auto step = [&] {
    auto a = arena.allocate(1000, Tag::activation);
    auto b = arena.allocate(50000, Tag::gradient);
    auto c = arena.allocate(990, Tag::workspace);  // of the class of `a`, which is in use
    EXPECT_NE(a->data(), c->data());
  };
  step();
  const std::int64_t before = arena.device_allocations();
  EXPECT_EQ(before, 3);
  for (int i = 0; i < 10; ++i) step();
  EXPECT_EQ(arena.device_allocations(), before);
}

TEST(Arena, CountsByTag) {
  Arena arena;
  {
    auto a = arena.allocate(1024, Tag::parameter);
    auto b = arena.allocate(2048, Tag::gradient);
    EXPECT_GE(arena.bytes(Tag::parameter), 1024u);
    EXPECT_LT(arena.bytes(Tag::parameter), 2048u);
    EXPECT_GE(arena.bytes(Tag::gradient), 2048u);
    EXPECT_EQ(arena.bytes(Tag::optimiser), 0u);
  }
  EXPECT_EQ(arena.bytes(Tag::parameter), 0u);
  EXPECT_GE(arena.peak_bytes(Tag::parameter), 1024u);
}

TEST(Arena, KeptBlocksOfOtherSizesAreGivenBackBeforeMemoryIsShort) {
  Arena arena(1 << 20);
  for (int i = 0; i < 4; ++i) arena.allocate((100 + 40 * i) << 10, Tag::activation);
  EXPECT_NE(arena.allocate(900 << 10, Tag::activation), nullptr);
}

TEST(Arena, ATensorMayOutliveItsArena) {
  Tensor tensor;
  {
    Arena arena;
    tensor = Tensor(arena, DType::f32, {1000}, Tag::batch);
  }
  for (float& value : tensor.span<float>()) value = 1;
  EXPECT_EQ(tensor.span<float>()[999], 1);
}

TEST(Arena, OutOfMemoryNamesWhatMemoryWentTo) {
  Arena arena(1 << 20);
  auto held = arena.allocate(700000, Tag::optimiser);
  try {
    arena.allocate(700000, Tag::activation);
    FAIL() << "allocated beyond the limit";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::device);
    const std::string text = error.what();
    EXPECT_NE(text.find("700000 bytes wanted for activation"), std::string::npos) << text;
    EXPECT_NE(text.find("optimiser 0.8 MiB"), std::string::npos) << text;
    EXPECT_NE(text.find("lower --train.batch"), std::string::npos) << text;
  }
  arena.allocate(1000, Tag::activation);  // what fits still does
}

TEST(Arena, IsSafeFromManyThreads) {
  Arena arena;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&arena, t] {
      for (int i = 0; i < 200; ++i) {
        auto block = arena.allocate(64 * (1 + i % 7), Tag::workspace);
        auto* data = static_cast<int*>(block->data());
        *data = t;
        EXPECT_EQ(*data, t);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(arena.bytes(Tag::workspace), 0u);
}

}  // namespace
}  // namespace seqrank
