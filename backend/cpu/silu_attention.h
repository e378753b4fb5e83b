// CPU implementation of pointwise attention (contract: backend/ops/silu_attention.h). Only dispatch
// calls it.
#pragma once

#include "backend/ops/silu_attention.h"

namespace seqrank::cpu {

decltype(seqrank::silu_attention) silu_attention;
decltype(seqrank::silu_attention_backward) silu_attention_backward;

}  // namespace seqrank::cpu
