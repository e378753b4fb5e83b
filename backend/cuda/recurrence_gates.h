// The gates of one event of one unit of an LSTM or GRU, forward and backward: everything of a step
// but its products. Knows no sequences.
#pragma once

#include "backend/ops/recurrence.h"
#include "device_code.h"

namespace seqrank::cuda {

constexpr float kLog2E = 1.44269504f;

// To about 1e-7 of 1.
__device__ inline float fast_sigmoid(float x) {
  return __fdividef(1.f, 1.f + exp2_fast(-kLog2E * x));
}
__device__ inline float fast_tanh(float x) {
  return 1 - __fdividef(2.f, 1.f + exp2_fast(2 * kLog2E * x));
}

// The gates of one event of one unit, in the order of ops/recurrence.h.
template <Cell cell>
struct Unit;

template <>
struct Unit<Cell::gru> {
  static constexpr int gates = 3;
  // a: W x + b_x; becomes r, z, n. u: U h + b_h. state: becomes u of n. h: becomes the next.
  __device__ static void forward(float (&a)[3], const float (&u)[3], float& state, float& h) {
    a[0] = fast_sigmoid(a[0] + u[0]);
    a[1] = fast_sigmoid(a[1] + u[1]);
    a[2] = fast_tanh(a[2] + a[0] * u[2]);
    state = u[2];
    h = a[2] + a[1] * (h - a[2]);
  }
  // before: h. dh: of this event's h; carry: in, what the following event adds past U; out, what
  // this one adds to the previous. d: gradients of W x + b_x. Returns that of U h + b_h of the last
  // gate; those of the others are the same.
  __device__ static float backward(float (&d)[3], float& carry, const float (&a)[3], float state,
                                   float before, float dh) {
    dh += carry;
    carry = dh * a[1];
    d[2] = dh * (1 - a[1]) * (1 - a[2] * a[2]);
    d[1] = dh * (before - a[2]) * a[1] * (1 - a[1]);
    d[0] = d[2] * state * a[0] * (1 - a[0]);
    return d[2] * a[0];
  }
};

template <>
struct Unit<Cell::lstm> {
  static constexpr int gates = 4;
  // state: c, becomes the next.
  __device__ static void forward(float (&a)[4], const float (&u)[4], float& state, float& h) {
    a[0] = fast_sigmoid(a[0] + u[0]);
    a[1] = fast_sigmoid(a[1] + u[1]);
    a[2] = fast_tanh(a[2] + u[2]);
    a[3] = fast_sigmoid(a[3] + u[3]);
    state = a[1] * state + a[0] * a[2];
    h = a[3] * fast_tanh(state);
  }
  // before: c. carry: the gradient of c.
  __device__ static float backward(float (&d)[4], float& carry, const float (&a)[4], float state,
                                   float before, float dh) {
    const float tanh_c = fast_tanh(state), dc = carry + dh * a[3] * (1 - tanh_c * tanh_c);
    carry = dc * a[1];
    d[0] = dc * a[2] * a[0] * (1 - a[0]);
    d[1] = dc * before * a[1] * (1 - a[1]);
    d[2] = dc * a[0] * (1 - a[2] * a[2]);
    d[3] = dh * tanh_c * a[3] * (1 - a[3]);
    return d[3];
  }
};

}  // namespace seqrank::cuda
