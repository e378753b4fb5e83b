// Sums over the rows of a matrix: the gradient of a bias.
#pragma once

#include "backend/context.h"

namespace seqrank::cpu {

// sum_M[m] += x_NM[0][m] + ... + x_NM[N - 1][m]. Threads take columns: the bits do not depend on
// their number.
void add_column_sum(Context& ctx, Tensor& sum_M, const Tensor& x_NM);

}  // namespace seqrank::cpu
