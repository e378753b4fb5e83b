// One loop a cell and direction, over plain pointers that do not overlap, so that GCC vectorises
// all of it. tanh(c) is computed again in backward: cheaper than N x H more of memory.
#include "backend/cpu/recurrence_gates.h"

#include "backend/cpu/vector_math.h"

namespace seqrank::cpu {

void lstm_row(const LstmForward& row, std::int64_t width) {
  float* gate_i = row.gates_G;
  float* gate_f = row.gates_G + width;
  float* gate_g = row.gates_G + 2 * width;
  float* gate_o = row.gates_G + 3 * width;
  const float* u = row.u_G;
  const float* bias = row.bias_G;
  const float* before = row.before_H;
  float* c = row.c_H;
  float* h = row.h_H;
#pragma omp simd
  for (std::int64_t j = 0; j < width; ++j) {
    const float i = fast_sigmoid(gate_i[j] + u[j] + bias[j]);
    const float f = fast_sigmoid(gate_f[j] + u[width + j] + bias[width + j]);
    const float g = fast_tanh(gate_g[j] + u[2 * width + j] + bias[2 * width + j]);
    const float o = fast_sigmoid(gate_o[j] + u[3 * width + j] + bias[3 * width + j]);
    const float state = f * before[j] + i * g;
    gate_i[j] = i;
    gate_f[j] = f;
    gate_g[j] = g;
    gate_o[j] = o;
    c[j] = state;
    h[j] = o * fast_tanh(state);
  }
}

void lstm_row_backward(const LstmBackward& row, std::int64_t width) {
  const float* gates = row.gates_G;
  const float* c = row.c_H;
  const float* before = row.before_H;
  const float* dh_event = row.dh_event_H;
  const float* dh_after = row.dh_after_H;
  float* dc_row = row.dc_H;
  float* dgates = row.dgates_G;
#pragma omp simd
  for (std::int64_t j = 0; j < width; ++j) {
    const float i = gates[j], f = gates[width + j];
    const float g = gates[2 * width + j], o = gates[3 * width + j];
    const float tanh_c = fast_tanh(c[j]);
    const float dh = dh_event[j] + dh_after[j];
    const float dc = dc_row[j] + dh * o * (1.0f - tanh_c * tanh_c);
    dgates[j] = dc * g * i * (1.0f - i);
    dgates[width + j] = dc * before[j] * f * (1.0f - f);
    dgates[2 * width + j] = dc * i * (1.0f - g * g);
    dgates[3 * width + j] = dh * tanh_c * o * (1.0f - o);
    dc_row[j] = dc * f;
  }
}

void gru_row(const GruForward& row, std::int64_t width) {
  float* gate_r = row.gates_G;
  float* gate_z = row.gates_G + width;
  float* gate_n = row.gates_G + 2 * width;
  const float* u = row.u_G;
  const float* bias = row.bias_G;
  const float* bias_n = row.bias_n_H;
  const float* before = row.before_H;
  float* u_n = row.u_n_H;
  float* h = row.h_H;
#pragma omp simd
  for (std::int64_t j = 0; j < width; ++j) {
    const float r = fast_sigmoid(gate_r[j] + u[j] + bias[j]);
    const float z = fast_sigmoid(gate_z[j] + u[width + j] + bias[width + j]);
    const float inner = u[2 * width + j] + bias_n[j];
    const float n = fast_tanh(gate_n[j] + bias[2 * width + j] + r * inner);
    gate_r[j] = r;
    gate_z[j] = z;
    gate_n[j] = n;
    u_n[j] = inner;
    h[j] = n + z * (before[j] - n);
  }
}

void gru_row_backward(const GruBackward& row, std::int64_t width) {
  const float* gates = row.gates_G;
  const float* u_n = row.u_n_H;
  const float* before = row.before_H;
  const float* dh_event = row.dh_event_H;
  const float* dh_after = row.dh_after_H;
  float* dh_row = row.dh_H;
  float* dgates_x = row.dgates_x_G;
  float* dgates_h = row.dgates_h_G;
#pragma omp simd
  for (std::int64_t j = 0; j < width; ++j) {
    const float r = gates[j], z = gates[width + j], n = gates[2 * width + j];
    const float dh = dh_event[j] + dh_after[j] + dh_row[j];
    const float dz = dh * (before[j] - n) * z * (1.0f - z);
    const float dn = dh * (1.0f - z) * (1.0f - n * n);
    const float dr = dn * u_n[j] * r * (1.0f - r);
    dgates_x[j] = dr;
    dgates_h[j] = dr;
    dgates_x[width + j] = dz;
    dgates_h[width + j] = dz;
    dgates_x[2 * width + j] = dn;
    dgates_h[2 * width + j] = dn * r;
    dh_row[j] = dh * z;
  }
}

}  // namespace seqrank::cpu
