// Twins of the PTX instructions that device_code.h wraps. Their state lives here and not in the
// kernels' text: it is no memory of the program, so TSan must not see it.
#pragma once

#include <cstdint>

#include "tests/support/emulated/simt.h"

namespace seqrank::simt {

// cp.async: copies land at the wait, so that a missing wait reads poison; under the greedy schedule
// they land at once, so that a copy over data still in use shows.
void copy_async_16(void* to, const void* from, Place place);
void copy_commit();
void copy_wait(unsigned groups_left);

// ldmatrix.x4: lane l names row l % 8 of matrix l / 8, and gets two elements of each matrix.
void load_matrix_x4(std::uint32_t (&r)[4], const void* row, bool transposed, Place place);

// mma.sync.m16n8k16: d += a b. The sums run over rising k in fp32; a GPU's order is not known.
enum class Float16 { bf16, f16 };
void mma_16816(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
               Float16 type, Place place);

}  // namespace seqrank::simt
