// rnn.h by cuDNN. Descriptors are made once a layer and set anew for every batch, whose lengths the
// library reads from host memory during the call; nothing waits for the device.
// The algorithm is always the standard one: the persistent ones refuse sequences of unlike lengths.
// What it multiplies with is noted.
#include "backend/cuda/rnn.h"

#include <cudnn.h>

#include <array>
#include <map>
#include <memory>
#include <vector>

#include "backend/cuda/handles.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {
namespace {

constexpr std::size_t kBf16Version = 91300;  // 9.13.0, the first with recurrences in bf16

void check(cudnnStatus_t status, const char* what) {
  SR_CHECK(status == CUDNN_STATUS_SUCCESS, ErrorKind::device, "{}: {}; try `seqrank doctor`", what,
           cudnnGetErrorString(status));
}

template <auto destroy>
struct Destroy {
  template <class T>
  void operator()(T* handle) const {
    destroy(handle);
  }
};
// Made by create, ended by destroy.
template <class T, auto create, auto destroy>
class Owned {
 public:
  Owned() {
    T made = nullptr;
    check(create(&made), "a descriptor of cuDNN");
    owned_.reset(made);
  }
  T get() const { return owned_.get(); }

 private:
  std::unique_ptr<std::remove_pointer_t<T>, Destroy<destroy>> owned_;
};
using Handle = Owned<cudnnHandle_t, cudnnCreate, cudnnDestroy>;
using Dropout =
    Owned<cudnnDropoutDescriptor_t, cudnnCreateDropoutDescriptor, cudnnDestroyDropoutDescriptor>;
using Rnn = Owned<cudnnRNNDescriptor_t, cudnnCreateRNNDescriptor, cudnnDestroyRNNDescriptor>;
using Events =
    Owned<cudnnRNNDataDescriptor_t, cudnnCreateRNNDataDescriptor, cudnnDestroyRNNDataDescriptor>;
using TensorShape =
    Owned<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor>;

struct Key {
  Cell cell;
  DType type;
  Multiply multiply;
  std::int64_t inputs, width;
  friend auto operator<=>(const Key&, const Key&) = default;
};

struct Layer {
  Rnn rnn;
  std::size_t weight_bytes = 0;
  WeightSpace space;
};

struct State {
  Handle handle;
  Dropout none;
  Events x, y;
  TensorShape state;  // of h and c before the first and after the last events
  std::map<Key, Layer> layers;
};

State& state_of(Context& ctx) {
  std::shared_ptr<void>& kept = ctx.handles().recurrence;
  if (kept == nullptr) {
    auto state = std::make_shared<State>();
    check(cudnnSetStream(state->handle.get(), stream_of(ctx)), "cudnnSetStream");
    check(cudnnSetDropoutDescriptor(state->none.get(), state->handle.get(), 0, nullptr, 0, 0),
          "cudnnSetDropoutDescriptor");
    kept = state;
  }
  return *static_cast<State*>(kept.get());
}

cudnnDataType_t library_type(DType type) {
  switch (type) {
    case DType::f32:
      return CUDNN_DATA_FLOAT;
    case DType::bf16:
      return CUDNN_DATA_BFLOAT16;
    case DType::f16:
      return CUDNN_DATA_HALF;
    default:
      SR_ASSERT(false, "a recurrence of {}", dtype_name(type));
  }
  return CUDNN_DATA_FLOAT;
}

struct Math {
  cudnnMathType_t type;
  const char* name;
};

// In the order to be tried: not every version takes every one for every type.
std::vector<Math> math_types(const RnnProblem& problem) {
  if (problem.type != DType::f32)
    return {{CUDNN_TENSOR_OP_MATH, "tensor cores"}, {CUDNN_DEFAULT_MATH, "default math"}};
  if (problem.multiply == Multiply::tf32) return {{CUDNN_DEFAULT_MATH, "tf32 where it has it"}};
  return {{CUDNN_FMA_MATH, "fp32 alone"}};
}

cudnnStatus_t describe(const State& state, const RnnProblem& problem, cudnnMathType_t math,
                       Layer& layer) {
  const int width = static_cast<int>(problem.width);
  const cudnnStatus_t status = cudnnSetRNNDescriptor_v8(
      layer.rnn.get(), CUDNN_RNN_ALGO_STANDARD, problem.cell == Cell::lstm ? CUDNN_LSTM : CUDNN_GRU,
      CUDNN_RNN_DOUBLE_BIAS, CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, library_type(problem.type),
      CUDNN_DATA_FLOAT, math, static_cast<int>(problem.inputs), width, width, 1, state.none.get(),
      CUDNN_RNN_PADDED_IO_DISABLED);
  if (status != CUDNN_STATUS_SUCCESS) return status;
  return cudnnGetRNNWeightSpaceSize(state.handle.get(), layer.rnn.get(), &layer.weight_bytes);
}

// That a part lies as rows of `columns`, one after another.
void expect_rows(const TensorShape& shape, std::int64_t rows, std::int64_t columns) {
  cudnnDataType_t type;
  int rank = 0;
  std::array<int, 3> extent{}, stride{};
  check(cudnnGetTensorNdDescriptor(shape.get(), 3, &type, &rank, extent.data(), stride.data()),
        "cudnnGetTensorNdDescriptor");
  SR_CHECK(rank == 3 && extent[1] == rows && extent[2] == columns &&
               (rows == 1 || stride[1] == columns) && (columns == 1 || stride[2] == 1),
           ErrorKind::device, "cuDNN has weights of [{}, {}] in steps of ({}, {}), not [{}, {}]",
           extent[1], extent[2], stride[1], stride[2], rows, columns);
}

// Part `index`: the gates of W, then those of U.
void find_part(Context& ctx, const State& state, const RnnProblem& problem, Layer& layer,
               int index) {
  const int gates = cell_gates(problem.cell), gate = index % gates;
  const bool recurrent = index >= gates;
  Tensor space = ctx.empty(DType::u8, {static_cast<std::int64_t>(layer.weight_bytes)},
                           Tag::workspace);  // for its address
  const TensorShape matrix, bias;
  void *matrix_begin = nullptr, *bias_begin = nullptr;
  check(cudnnGetRNNWeightParams(state.handle.get(), layer.rnn.get(), 0, layer.weight_bytes,
                                space.raw(), index, matrix.get(), &matrix_begin, bias.get(),
                                &bias_begin),
        "cudnnGetRNNWeightParams");
  expect_rows(matrix, problem.width, recurrent ? problem.width : problem.inputs);
  const auto offset = [&](void* begin) {
    return (static_cast<char*>(begin) - static_cast<char*>(space.raw())) /
           static_cast<std::int64_t>(dtype_size(problem.type));
  };
  WeightSpace& found = layer.space;
  (recurrent ? found.w_h : found.w_x).of_gate[gate] = offset(matrix_begin);
  (recurrent ? found.b_h : found.b_x).of_gate[gate] = offset(bias_begin);
}

Layer& layer_of(Context& ctx, State& state, const RnnProblem& problem) {
  const Key key{problem.cell, problem.type, problem.multiply, problem.inputs, problem.width};
  if (const auto known = state.layers.find(key); known != state.layers.end()) return known->second;
  SR_CHECK(problem.type != DType::bf16 || cudnnGetVersion() >= kBf16Version, ErrorKind::device,
           "{} has no recurrences in bf16; use cuDNN 9.13 or newer, or --train.precision=fp32",
           rnn_library_version());
  const std::string words =
      fmt::format("{} of {} inputs and width {} in {}", problem.cell == Cell::lstm ? "LSTM" : "GRU",
                  problem.inputs, problem.width, dtype_name(problem.type));
  Layer layer;
  cudnnStatus_t status = CUDNN_STATUS_NOT_SUPPORTED;
  for (const Math& math : math_types(problem)) {
    status = describe(state, problem, math.type, layer);
    if (status != CUDNN_STATUS_SUCCESS) continue;
    ctx.handles().notes.push_back(
        fmt::format("{}: {}: standard algorithm, {}", rnn_library_version(), words, math.name));
    break;
  }
  SR_CHECK(status == CUDNN_STATUS_SUCCESS, ErrorKind::device,
           "{} has no {} ({}); try --train.precision=fp32", rnn_library_version(), words,
           cudnnGetErrorString(status));
  layer.space.elements = static_cast<std::int64_t>(layer.weight_bytes / dtype_size(problem.type));
  for (int index = 0; index < 2 * cell_gates(problem.cell); ++index)
    find_part(ctx, state, problem, layer, index);
  return state.layers.emplace(key, std::move(layer)).first->second;
}

struct Sizes {
  std::size_t workspace = 0, reserve = 0;
};

// Tells the descriptors of the state what this batch is like.
Sizes describe_batch(State& state, const Layer& layer, const RnnProblem& problem) {
  const std::vector<int> length = problem.lengths();
  const auto steps = static_cast<int>(problem.sequences_at_T.size());
  const auto sequences = static_cast<int>(length.size());
  const auto width = static_cast<int>(problem.width);
  const cudnnDataType_t type = library_type(problem.type);
  const auto set = [&](const Events& events, int vector) {
    check(cudnnSetRNNDataDescriptor(events.get(), type, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED,
                                    steps, sequences, vector, length.data(), nullptr),
          "cudnnSetRNNDataDescriptor");
  };
  set(state.x, static_cast<int>(problem.inputs));
  set(state.y, width);
  const std::array<int, 3> extent{1, sequences, width}, stride{sequences * width, width, 1};
  check(cudnnSetTensorNdDescriptor(state.state.get(), type, 3, extent.data(), stride.data()),
        "cudnnSetTensorNdDescriptor");
  Sizes sizes;
  check(cudnnGetRNNTempSpaceSizes(state.handle.get(), layer.rnn.get(), CUDNN_FWD_MODE_TRAINING,
                                  state.x.get(), &sizes.workspace, &sizes.reserve),
        "cudnnGetRNNTempSpaceSizes");
  return sizes;
}

const void* raw_or_null(const Tensor& x) {
  return x ? x.raw() : nullptr;
}

Tensor bytes(Context& ctx, std::size_t count, Tag tag) {
  return ctx.empty(DType::u8, {static_cast<std::int64_t>(count)}, tag);
}

// Where there is no device, there is no library to ask. Its work space and reserve as an H200 took
// them for a GRU of width 256 in bf16 (cuDNN 9.13); those of others are a guess by their gates.
WeightSpace planned_space(const RnnProblem& problem) {
  WeightSpace space;
  space.elements = cell_gates(problem.cell) * problem.width * (problem.inputs + problem.width + 2);
  return space;
}
Sizes planned_sizes(const RnnProblem& problem) {
  const std::size_t of_type = dtype_size(problem.type);
  const auto states = static_cast<std::size_t>(problem.events() * problem.width);
  const auto gates = static_cast<std::size_t>(cell_gates(problem.cell));
  return {.workspace = (2 * gates + 1) * states * of_type / 2,
          .reserve = 2 * (gates + 1) * states * of_type};
}

}  // namespace

WeightSpace rnn_weight_space(Context& ctx, const RnnProblem& problem) {
  if (ctx.plans()) return planned_space(problem);
  use_device(ctx.ordinal());
  return layer_of(ctx, state_of(ctx), problem).space;
}

Tensor rnn_forward(Context& ctx, const RnnProblem& problem, Tensor& y_NH, const Tensor& x_NK,
                   const Tensor& weights, const Tensor& h0_BH) {
  if (ctx.plans()) {
    const Sizes sizes = planned_sizes(problem);
    const Tensor workspace = bytes(ctx, sizes.workspace, Tag::workspace);
    return bytes(ctx, sizes.reserve, Tag::activation);
  }
  use_device(ctx.ordinal());
  State& state = state_of(ctx);
  const Layer& layer = layer_of(ctx, state, problem);
  const Sizes sizes = describe_batch(state, layer, problem);
  Tensor workspace = bytes(ctx, sizes.workspace, Tag::workspace);
  Tensor reserve = bytes(ctx, sizes.reserve, Tag::activation);
  const cudnnTensorDescriptor_t cell = problem.cell == Cell::lstm ? state.state.get() : nullptr;
  check(cudnnRNNForward(state.handle.get(), layer.rnn.get(), CUDNN_FWD_MODE_TRAINING, nullptr,
                        state.x.get(), x_NK.raw(), state.y.get(), y_NH.raw(), state.state.get(),
                        raw_or_null(h0_BH), nullptr, cell, nullptr, nullptr, layer.weight_bytes,
                        weights.raw(), sizes.workspace, workspace.raw(), sizes.reserve,
                        reserve.raw()),
        "cudnnRNNForward");
  return reserve;
}

void rnn_backward(Context& ctx, const RnnProblem& problem, Tensor& dx_NK, Tensor& dweights,
                  const Tensor& dy_NH, const Tensor& y_NH, const Tensor& x_NK,
                  const Tensor& weights, const Tensor& h0_BH, Tensor& reserve) {
  if (ctx.plans()) {
    const Tensor workspace = bytes(ctx, planned_sizes(problem).workspace, Tag::workspace);
    return;
  }
  use_device(ctx.ordinal());
  State& state = state_of(ctx);
  const Layer& layer = layer_of(ctx, state, problem);
  const Sizes sizes = describe_batch(state, layer, problem);
  SR_ASSERT(reserve.bytes() == sizes.reserve, "a reserve of {} bytes, of {} in this batch",
            reserve.bytes(), sizes.reserve);
  Tensor workspace = bytes(ctx, sizes.workspace, Tag::workspace);
  const cudnnTensorDescriptor_t cell = problem.cell == Cell::lstm ? state.state.get() : nullptr;
  // Data before weights: it leaves the gradients of the gates in the reserve.
  check(cudnnRNNBackwardData_v8(state.handle.get(), layer.rnn.get(), nullptr, state.y.get(),
                                y_NH.raw(), dy_NH.raw(), state.x.get(), dx_NK.raw(),
                                state.state.get(), raw_or_null(h0_BH), nullptr, nullptr, cell,
                                nullptr, nullptr, nullptr, layer.weight_bytes, weights.raw(),
                                sizes.workspace, workspace.raw(), sizes.reserve, reserve.raw()),
        "cudnnRNNBackwardData_v8");
  check(
      cudnnRNNBackwardWeights_v8(state.handle.get(), layer.rnn.get(), CUDNN_WGRAD_MODE_ADD, nullptr,
                                 state.x.get(), x_NK.raw(), state.state.get(), raw_or_null(h0_BH),
                                 state.y.get(), y_NH.raw(), layer.weight_bytes, dweights.raw(),
                                 sizes.workspace, workspace.raw(), sizes.reserve, reserve.raw()),
      "cudnnRNNBackwardWeights_v8");
}

std::string rnn_library_version() {
  const std::size_t version = cudnnGetVersion();  // 91300
  return fmt::format("cuDNN {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace seqrank::cuda
