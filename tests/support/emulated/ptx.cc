// Twins of PTX instructions (ptx.h).
#include "tests/support/emulated/ptx.h"

#include <cuda_fp16.h>

#include <bit>

#include "tests/support/emulated/options.h"
#include "tests/support/emulated/sanitizers.h"

namespace seqrank::simt {

namespace {

void land(const AsyncCopy& c) {
  sanitizers::has_read(c.from, 16);
  sanitizers::has_written(c.to, 16);
  const sanitizers::Untraced untraced;
  std::memcpy(c.to, c.from, 16);
}

bool aligned_16(const void* p) {
  return reinterpret_cast<std::uintptr_t>(p) % 16 == 0;
}

template <class T>
T from_packet(const Packet& p) {
  T value;
  std::memcpy(&value, &p, sizeof value);
  return value;
}

struct Row {
  const std::uint16_t* address;
  std::uint16_t elements[8];
};

struct Fragments {
  float d[4];
  std::uint32_t a[4], b[2];
};

float bf16_value(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

float f16_value(std::uint16_t bits) {
  return __half2float(std::bit_cast<__half>(bits));
}

// One lane computes the whole 16x8 tile, 8 columns at a time.
template <float (*value)(std::uint16_t)>
void multiply_tile(Packet (&packets)[32], std::uint32_t came) {
  using Columns [[gnu::vector_size(32)]] = float;
  if (came != ~0u) die("mma.sync needs all lanes of the warp", thread->place);
  float a[16][16];
  Columns b[16], d[16];
  Fragments f[32];
  for (int lane = 0; lane < 32; ++lane) {
    f[lane] = from_packet<Fragments>(packets[lane]);
    const int row = lane / 4, pair = lane % 4 * 2;
    for (int half = 0; half < 2; ++half) {
      const int shift = 16 * half;
      for (int i = 0; i < 4; ++i) {
        a[row + i % 2 * 8][pair + i / 2 * 8 + half] =
            value(static_cast<std::uint16_t>(f[lane].a[i] >> shift));
      }
      for (int i = 0; i < 2; ++i) {
        b[pair + i * 8 + half][row] = value(static_cast<std::uint16_t>(f[lane].b[i] >> shift));
        d[row + i * 8][pair + half] = f[lane].d[2 * i + half];
      }
    }
  }
  for (int row = 0; row < 16; ++row) {
    Columns sum = d[row];
    for (int k = 0; k < 16; ++k) sum += a[row][k] * b[k];
    d[row] = sum;
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) f[lane].d[i] = d[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
    std::memcpy(&packets[lane], f[lane].d, sizeof f[lane].d);
  }
}

}  // namespace

void copy_async_16(void* to, const void* from, Place place) {
  if (!aligned_16(to) || !aligned_16(from)) die("cp.async: not 16-byte aligned", place);
  thread->place = place;
  const AsyncCopy copy{to, from, thread->copy_group};
  if (emu::options().schedule == emu::Schedule::greedy) {
    land(copy);
  } else {
    sanitizers::has_written(to, 16);  // the copy may happen now as well as at the wait
    const sanitizers::Untraced untraced;
    thread->copies.push_back(copy);
  }
}

void copy_commit() {
  ++thread->copy_group;
}

void copy_wait(unsigned groups_left) {
  std::erase_if(thread->copies, [groups_left](const AsyncCopy& c) {
    const bool due = c.group + groups_left < thread->copy_group;
    if (due) land(c);
    return due;
  });
}

void load_matrix_x4(std::uint32_t (&r)[4], const void* row, bool transposed, Place place) {
  if (!aligned_16(row)) die("ldmatrix: a row is not 16-byte aligned", place);
  Row mine{static_cast<const std::uint16_t*>(row), {}};
  std::memcpy(mine.elements, row, 16);
  Packet packet{};
  std::memcpy(&packet, &mine, sizeof mine);
  const Packet* all = exchange(~0u, packet, {"ldmatrix"}, place);
  const unsigned lane = thread->lane;
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    std::uint32_t pair[2];
    for (unsigned i = 0; i < 2; ++i) {
      const unsigned from_row = transposed ? lane % 4 * 2 + i : lane / 4;
      const unsigned column = transposed ? lane / 4 : lane % 4 * 2 + i;
      const Row source = from_packet<Row>(all[matrix * 8 + from_row]);
      sanitizers::has_read(source.address + column, 2);
      pair[i] = source.elements[column];
    }
    r[matrix] = pair[0] | pair[1] << 16;
  }
}

void mma_16816(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
               Float16 type, Place place) {
  Fragments mine;
  std::memcpy(mine.d, d, sizeof d);
  std::memcpy(mine.a, a, sizeof a);
  std::memcpy(mine.b, b, sizeof b);
  Packet packet{};
  std::memcpy(&packet, &mine, sizeof mine);
  const Combine multiply =
      type == Float16::bf16 ? multiply_tile<bf16_value> : multiply_tile<f16_value>;
  const Packet* all = exchange(~0u, packet, {"mma.sync", false, multiply}, place);
  std::memcpy(d, &all[thread->lane], sizeof d);
}

}  // namespace seqrank::simt
