// LSTM and GRU on a CUDA device: chooses whose recurrence a layer runs, own kernels
// (recurrence_steps.cu) or the vendor's library (rnn.h), and does what the library wants done:
// events to time-major order and back, in the type of the products, and weights into its memory
// and gradients out of it. In bf16 and fp16 it keeps the states between events in that type, too.
#include "backend/ops/recurrence.h"

#include "backend/cuda/elements.h"
#include "backend/cuda/handles.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/number.h"
#include "backend/cuda/recurrence_steps.h"
#include "backend/cuda/rnn.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {
namespace {

template <class T>
__global__ void to_time_major_kernel(T* time_ND, const float* event_ND, const std::int32_t* order_N,
                                     std::int64_t rows, std::int64_t width) {
  const std::int64_t n = row_index(), d = column_index();
  if (n < rows && d < width)
    time_ND[n * width + d] = from_float<T>(event_ND[order_N[n] * width + d]);
}

template <class T>
__global__ void to_event_order_kernel(float* event_ND, const T* time_ND,
                                      const std::int32_t* order_N, std::int64_t rows,
                                      std::int64_t width) {
  const std::int64_t n = row_index(), d = column_index();
  if (n < rows && d < width) event_ND[order_N[n] * width + d] = to_float(time_ND[n * width + d]);
}

// One parameter, gate by gate; `size`: elements of a gate.
template <class T>
__global__ void pack_kernel(T* space, const float* w, GateOffsets offsets, std::int64_t size,
                            std::int64_t n) {
  const std::int64_t i = element_index();
  if (i < n) space[offsets.of_gate[i / size] + i % size] = from_float<T>(w[i]);
}

template <class T>
__global__ void add_unpacked_kernel(float* dw, const T* space, GateOffsets offsets,
                                    std::int64_t size, std::int64_t n) {
  const std::int64_t i = element_index();
  if (i < n) dw[i] += to_float(space[offsets.of_gate[i / size] + i % size]);
}

template <class T>
__global__ void convert_kernel(T* y, const float* x, std::int64_t n) {
  const std::int64_t i = element_index();
  if (i < n) y[i] = from_float<T>(x[i]);
}

template <class T>
__global__ void zero_kernel(T* x, std::int64_t n) {
  const std::int64_t i = element_index();
  if (i < n) x[i] = from_float<T>(0);
}

// The operators for elements of type T.
template <class T>
class Layer {
 public:
  Layer(Context& ctx, Cell cell, DType type, std::int64_t inputs, std::int64_t width,
        const PackedOrder& order)
      : ctx_(ctx),
        order_(order),
        problem_{.cell = cell,
                 .type = type,
                 .multiply = ctx.precision() == Precision::tf32 ? Multiply::tf32 : Multiply::fp32,
                 .inputs = inputs,
                 .width = width,
                 .sequences_at_T = order.sequences_at_T},
        space_(rnn_weight_space(ctx, problem_)) {}

  void forward(Tensor& h_NH, RecurrenceReserve& reserve, const Tensor& x_NK,
               const RecurrenceWeights& weights, const Tensor& h0_BH) {
    const Tensor x = to_time_major(x_NK), packed = pack(weights), h0 = converted(h0_BH);
    reserve.hidden_NH = ctx_.empty(problem_.type, h_NH.shape());
    reserve.library = rnn_forward(ctx_, problem_, reserve.hidden_NH, x, packed, h0);
    to_event_order(h_NH, reserve.hidden_NH);
  }

  void backward(Tensor& dx_NK, RecurrenceWeights& gradients, const Tensor& dh_NH,
                const Tensor& x_NK, const RecurrenceReserve& reserve,
                const RecurrenceWeights& weights, const Tensor& h0_BH) {
    const Tensor dh = to_time_major(dh_NH), x = to_time_major(x_NK), packed = pack(weights);
    const Tensor h0 = converted(h0_BH);
    Tensor dx = ctx_.empty(problem_.type, x_NK.shape(), Tag::workspace);
    Tensor dpacked = ctx_.empty(problem_.type, {space_.elements}, Tag::workspace);
    launch<zero_kernel<T>>(per_element(space_.elements), stream_of(ctx_), out<T>(dpacked),
                           space_.elements);
    Tensor library = reserve.library;
    rnn_backward(ctx_, problem_, dx, dpacked, dh, reserve.hidden_NH, x, packed, h0, library);
    add_unpacked(gradients.w_x_GK, dpacked, space_.w_x);
    add_unpacked(gradients.w_h_GH, dpacked, space_.w_h);
    add_unpacked(gradients.b_x_G, dpacked, space_.b_x);
    add_unpacked(gradients.b_h_G, dpacked, space_.b_h);
    if (dx_NK) to_event_order(dx_NK, dx);
  }

 private:
  Tensor to_time_major(const Tensor& x_ND) {
    Tensor time_ND = ctx_.empty(problem_.type, x_ND.shape(), Tag::workspace);
    launch<to_time_major_kernel<T>>(
        per_row_and_column(x_ND.dim(0), x_ND.dim(1)), stream_of(ctx_), out<T>(time_ND),
        in<float>(x_ND), in<std::int32_t>(order_.time_order_N), x_ND.dim(0), x_ND.dim(1));
    return time_ND;
  }
  void to_event_order(Tensor& x_ND, const Tensor& time_ND) {
    launch<to_event_order_kernel<T>>(
        per_row_and_column(x_ND.dim(0), x_ND.dim(1)), stream_of(ctx_), out<float>(x_ND),
        in<T>(time_ND), in<std::int32_t>(order_.time_order_N), x_ND.dim(0), x_ND.dim(1));
  }
  std::int64_t gate_size(const Tensor& w) const { return w.numel() / cell_gates(problem_.cell); }

  Tensor converted(const Tensor& x) {
    if (!x || problem_.type == DType::f32) return x;
    Tensor y = ctx_.empty(problem_.type, x.shape(), Tag::workspace);
    launch<convert_kernel<T>>(per_element(x.numel()), stream_of(ctx_), out<T>(y), in<float>(x),
                              x.numel());
    return y;
  }

  Tensor pack(const RecurrenceWeights& weights) {
    Tensor packed = ctx_.empty(problem_.type, {space_.elements}, Tag::workspace);
    const auto part = [&](const Tensor& w, const GateOffsets& offsets) {
      launch<pack_kernel<T>>(per_element(w.numel()), stream_of(ctx_), update<T>(packed),
                             in<float>(w), offsets, gate_size(w), w.numel());
    };
    part(weights.w_x_GK, space_.w_x);
    part(weights.w_h_GH, space_.w_h);
    part(weights.b_x_G, space_.b_x);
    part(weights.b_h_G, space_.b_h);
    return packed;
  }
  void add_unpacked(Tensor& dw, const Tensor& packed, const GateOffsets& offsets) {
    launch<add_unpacked_kernel<T>>(per_element(dw.numel()), stream_of(ctx_), update<float>(dw),
                                   in<T>(packed), offsets, gate_size(dw), dw.numel());
  }

  Context& ctx_;
  const PackedOrder& order_;
  RnnProblem problem_;
  WeightSpace space_;
};

// f(Layer<T>) for the type T of the context's products.
template <class F>
void with_layer(Context& ctx, Cell cell, std::int64_t inputs, std::int64_t width,
                const PackedOrder& order, F&& f) {
  switch (ctx.precision()) {
    case Precision::bf16:
      return f(Layer<__nv_bfloat16>(ctx, cell, DType::bf16, inputs, width, order));
    case Precision::fp16:
      return f(Layer<__half>(ctx, cell, DType::f16, inputs, width, order));
    case Precision::fp32:
    case Precision::tf32:
      return f(Layer<float>(ctx, cell, DType::f32, inputs, width, order));
  }
}

// A step of the library is several launches, about 20 us however little there is to do; one of the
// own kernels is one product of a vector by weights that must fit in one multiprocessor. Where they
// fit, the library is behind, whatever the precision.
bool chooses_own(Context& ctx, Cell cell, std::int64_t inputs, std::int64_t width) {
  const RecurrenceKernels wanted = ctx.recurrence_kernels();
  SR_CHECK(wanted != RecurrenceKernels::own || width <= kWidestSteps, ErrorKind::usage,
           "own recurrences are for widths up to {}, this layer's is {}", kWidestSteps, width);
  if (wanted == RecurrenceKernels::library || width > kWidestSteps) return false;
  if (ctx.handles().own_recurrences.emplace(cell, inputs, width).second)
    ctx.handles().notes.push_back(fmt::format("own kernels: {} of {} inputs and width {}",
                                              cell == Cell::lstm ? "LSTM" : "GRU", inputs, width));
  return true;
}

}  // namespace

void recurrence(Context& ctx, Cell cell, Tensor& h_NH, RecurrenceReserve& reserve,
                const Tensor& x_NK, const RecurrenceWeights& weights, const PackedOrder& order,
                const Tensor& h0_BH) {
  if (x_NK.dim(0) == 0) return;  // the library wants an event
  reserve = {};
  if (chooses_own(ctx, cell, x_NK.dim(1), h_NH.dim(1)))
    return recurrence_steps(ctx, cell, h_NH, reserve, x_NK, weights, order, h0_BH);
  with_layer(ctx, cell, x_NK.dim(1), h_NH.dim(1), order,
             [&](auto layer) { layer.forward(h_NH, reserve, x_NK, weights, h0_BH); });
}

void recurrence_backward(Context& ctx, Cell cell, Tensor& dx_NK, RecurrenceWeights& gradients,
                         const Tensor& dh_NH, const Tensor& x_NK, const RecurrenceReserve& reserve,
                         const RecurrenceWeights& weights, const PackedOrder& order,
                         const Tensor& h0_BH) {
  if (x_NK.dim(0) == 0) return;
  if (!reserve.library)
    return recurrence_steps_backward(ctx, cell, dx_NK, gradients, dh_NH, x_NK, reserve, weights,
                                     order);
  with_layer(ctx, cell, x_NK.dim(1), dh_NH.dim(1), order, [&](auto layer) {
    layer.backward(dx_NK, gradients, dh_NH, x_NK, reserve, weights, h0_BH);
  });
}

}  // namespace seqrank::cuda
