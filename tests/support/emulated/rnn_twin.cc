// rnn.h on the emulated device: the CPU's recurrence in the order of the stream, with the accesses
// of the vendor's library. What backward needs of forward lies in the reserve and nowhere else, so
// that its early reuse shows. 16-bit operands are widened; what cuDNN rounds between events is not
// rounded here.
#include <algorithm>
#include <numeric>
#include <vector>

#include "backend/cuda/handles.h"
#include "backend/cuda/number.h"
#include "backend/cuda/rnn.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cpu {
decltype(seqrank::recurrence) recurrence;
decltype(seqrank::recurrence_backward) recurrence_backward;
}  // namespace seqrank::cpu

namespace seqrank::cuda {
namespace {

// A problem that outlives the call, and how its host tensors are made.
struct Job {
  explicit Job(const RnnProblem& p)
      : problem(p), sequences(p.sequences_at_T.begin(), p.sequences_at_T.end()) {
    problem.sequences_at_T = sequences;
    SR_ASSERT(problem.events() > 0, "the library refuses a batch without events");
    SR_ASSERT(std::ranges::is_sorted(sequences, std::greater()), "sequences by falling length");
  }
  Job(const Job& other) : Job(other.problem) {}

  std::int64_t gates() const { return cell_gates(problem.cell) * problem.width; }
  std::int64_t reserve_floats() const { return problem.events() * (gates() + 2 * problem.width); }

  RnnProblem problem;
  std::vector<std::int32_t> sequences;
};

WeightSpace space_of(const RnnProblem& p) {
  WeightSpace space;
  const std::int64_t w_x = p.width * p.inputs, w_h = p.width * p.width;
  const auto place = [&](GateOffsets& part, std::int64_t size) {
    for (int gate = 0; gate < cell_gates(p.cell); ++gate) {
      part.of_gate[gate] = space.elements;
      space.elements += size;
    }
  };
  place(space.w_x, w_x);
  place(space.w_h, w_h);
  space.elements += 5;  // as the library may, leaves room
  place(space.b_x, p.width);
  place(space.b_h, p.width);
  return space;
}

// Host memory of T as a host tensor of floats, and back.
template <class T>
Tensor widened(Context& cpu, const T* from, Shape shape) {
  Tensor to = cpu.empty(DType::f32, shape);
  std::ranges::transform(from, from + shape.numel(), to.data<float>(),
                         [](T x) { return to_float(x); });
  return to;
}
template <class T>
void narrow(T* to, const Tensor& from) {
  std::ranges::transform(from.span<float>(), to, [](float x) { return from_float<T>(x); });
}

Tensor whole_order(Context& cpu, const Job& job) {
  Tensor order = cpu.empty(DType::i32, {job.problem.events()});
  const std::span<std::int32_t> places = order.span<std::int32_t>();
  std::iota(places.begin(), places.end(), 0);
  return order;
}

// f(part of RecurrenceWeights as floats, elements of a gate, where its gates are).
template <class F>
void each_part(const Job& job, RecurrenceWeights& weights, F&& f) {
  const WeightSpace space = space_of(job.problem);
  const std::int64_t width = job.problem.width;
  f(weights.w_x_GK, width * job.problem.inputs, space.w_x);
  f(weights.w_h_GH, width * width, space.w_h);
  f(weights.b_x_G, width, space.b_x);
  f(weights.b_h_G, width, space.b_h);
}

RecurrenceWeights make_weights(Context& cpu, const Job& job) {
  const std::int64_t gates = job.gates();
  return {cpu.empty(DType::f32, {gates, job.problem.inputs}),
          cpu.empty(DType::f32, {gates, job.problem.width}), cpu.empty(DType::f32, {gates}),
          cpu.empty(DType::f32, {gates})};
}

template <class T>
RecurrenceWeights unpacked(Context& cpu, const Job& job, const T* packed) {
  RecurrenceWeights weights = make_weights(cpu, job);
  each_part(job, weights, [&](Tensor& part, std::int64_t size, const GateOffsets& offsets) {
    for (int gate = 0; gate < cell_gates(job.problem.cell); ++gate)
      std::ranges::transform(packed + offsets.of_gate[gate], packed + offsets.of_gate[gate] + size,
                             part.data<float>() + gate * size, [](T x) { return to_float(x); });
  });
  return weights;
}

template <class T>
void add_packed(const Job& job, T* packed, RecurrenceWeights& gradients) {
  each_part(job, gradients, [&](Tensor& part, std::int64_t size, const GateOffsets& offsets) {
    for (int gate = 0; gate < cell_gates(job.problem.cell); ++gate)
      for (std::int64_t i = 0; i < size; ++i) {
        T& to = packed[offsets.of_gate[gate] + i];
        to = from_float<T>(to_float(to) + part.data<float>()[gate * size + i]);
      }
  });
}

template <class T>
Tensor first_state(Context& cpu, const Job& job, const T* h0) {
  return h0 ? widened(cpu, h0, {job.sequences[0], job.problem.width}) : Tensor();
}

template <class T>
void forward_on_host(const Job& job, T* y, const T* x, const T* packed, const T* h0, float* kept) {
  Context cpu(Device::cpu, 1);
  const RnnProblem& p = job.problem;
  const Tensor order = whole_order(cpu, job), none;
  Tensor h = cpu.empty(DType::f32, {p.events(), p.width});
  RecurrenceReserve reserve;
  cpu::recurrence(cpu, p.cell, h, reserve, widened(cpu, x, {p.events(), p.inputs}),
                  unpacked(cpu, job, packed), {none, order, p.sequences_at_T},
                  first_state(cpu, job, h0));
  narrow(y, h);
  for (const Tensor& part : {reserve.gates_NG, reserve.state_NH, reserve.hidden_NH})
    kept = std::ranges::copy(part.span<float>(), kept).out;
}

template <class T>
void backward_on_host(const Job& job, T* dx, T* dpacked, const T* dy, const T* y, const T* x,
                      const T* packed, const T* h0, const float* kept) {
  Context cpu(Device::cpu, 1);
  const RnnProblem& p = job.problem;
  const std::int64_t events = p.events(), gates = job.gates();
  const Tensor order = whole_order(cpu, job), none;
  RecurrenceReserve reserve;
  reserve.gates_NG = widened(cpu, kept, {events, gates});
  reserve.state_NH = widened(cpu, kept + events * gates, {events, p.width});
  reserve.hidden_NH = widened(cpu, y, {events, p.width});
  RecurrenceWeights gradients = make_weights(cpu, job);
  for (Tensor* part : {&gradients.w_x_GK, &gradients.w_h_GH, &gradients.b_x_G, &gradients.b_h_G})
    std::ranges::fill(part->span<float>(), 0.0f);
  Tensor dx_wide = cpu.empty(DType::f32, {events, p.inputs});
  cpu::recurrence_backward(cpu, p.cell, dx_wide, gradients, widened(cpu, dy, {events, p.width}),
                           widened(cpu, x, {events, p.inputs}), reserve, unpacked(cpu, job, packed),
                           {none, order, p.sequences_at_T}, first_state(cpu, job, h0));
  narrow(dx, dx_wide);
  add_packed(job, dpacked, gradients);
}

template <class T>
void enqueue_forward(Context& ctx, const Job& job, Tensor& y_NH, const Tensor& x_NK,
                     const Tensor& weights, const Tensor& h0_BH, Tensor& reserve,
                     Tensor& workspace) {
  const auto y = out<T>(y_NH);
  const auto x = in<T>(x_NK), w = in<T>(weights), h0 = in<T>(h0_BH);
  const auto kept = out<float>(reserve);
  const auto scratch = update<std::uint8_t>(workspace);
  emu::enqueue(stream_of(ctx), "recurrence",
               {emu::range(y), emu::range(x), emu::range(w), emu::range(h0), emu::range(kept),
                emu::range(scratch)},
               [job, y_ = emu::on_host(y), x_ = emu::on_host(x), w_ = emu::on_host(w),
                h0_ = emu::on_host(h0),
                kept_ = emu::on_host(kept)] { forward_on_host(job, y_, x_, w_, h0_, kept_); });
}

struct Backward {
  Tensor &dx_NK, &dweights;
  const Tensor &dy_NH, &y_NH, &x_NK, &weights, &h0_BH;
  Tensor &reserve, &workspace;
};

template <class T>
void enqueue_backward(Context& ctx, const Job& job, Backward b) {
  const auto dx = out<T>(b.dx_NK), dw = update<T>(b.dweights);
  const auto dy = in<T>(b.dy_NH), y = in<T>(b.y_NH), x = in<T>(b.x_NK), w = in<T>(b.weights);
  const auto h0 = in<T>(b.h0_BH);
  const auto kept = update<float>(b.reserve);
  const auto scratch = update<std::uint8_t>(b.workspace);
  emu::enqueue(stream_of(ctx), "recurrence backward",
               {emu::range(dx), emu::range(dw), emu::range(dy), emu::range(y), emu::range(x),
                emu::range(w), emu::range(h0), emu::range(kept), emu::range(scratch)},
               [job, dx_ = emu::on_host(dx), dw_ = emu::on_host(dw), dy_ = emu::on_host(dy),
                y_ = emu::on_host(y), x_ = emu::on_host(x), w_ = emu::on_host(w),
                h0_ = emu::on_host(h0), kept_ = emu::on_host(kept)] {
                 backward_on_host<typename std::remove_pointer_t<decltype(dx_)>>(
                     job, dx_, dw_, dy_, y_, x_, w_, h0_, kept_);
                 std::fill_n(kept_, job.reserve_floats(), NAN);  // spent
               });
}

// f(an element of the problem's type).
template <class F>
void with_type(DType type, F&& f) {
  if (type == DType::bf16) return f(__nv_bfloat16{});
  if (type == DType::f16) return f(__half{});
  f(float{});
}

}  // namespace

WeightSpace rnn_weight_space(Context& ctx, const RnnProblem& problem) {
  std::shared_ptr<void>& known = ctx.handles().recurrence;
  if (known == nullptr) {
    known = std::make_shared<int>();
    ctx.handles().notes.push_back(rnn_library_version() + ": recurrences of the CPU, in fp32");
  }
  return space_of(problem);
}

Tensor rnn_forward(Context& ctx, const RnnProblem& problem, Tensor& y_NH, const Tensor& x_NK,
                   const Tensor& weights, const Tensor& h0_BH) {
  const Job job(problem);
  Tensor reserve = ctx.empty(DType::f32, {job.reserve_floats()});
  Tensor workspace = ctx.empty(DType::u8, {256}, Tag::workspace);
  if (ctx.plans()) return reserve;
  with_type(problem.type, [&](auto element) {
    enqueue_forward<decltype(element)>(ctx, job, y_NH, x_NK, weights, h0_BH, reserve, workspace);
  });
  return reserve;
}

void rnn_backward(Context& ctx, const RnnProblem& problem, Tensor& dx_NK, Tensor& dweights,
                  const Tensor& dy_NH, const Tensor& y_NH, const Tensor& x_NK,
                  const Tensor& weights, const Tensor& h0_BH, Tensor& reserve) {
  const Job job(problem);
  SR_ASSERT(reserve.numel() == job.reserve_floats(), "a reserve of {} floats, of {} in this batch",
            reserve.numel(), job.reserve_floats());
  Tensor workspace = ctx.empty(DType::u8, {256}, Tag::workspace);
  if (ctx.plans()) return;
  const Backward operands{dx_NK, dweights, dy_NH, y_NH, x_NK, weights, h0_BH, reserve, workspace};
  with_type(problem.type,
            [&](auto element) { enqueue_backward<decltype(element)>(ctx, job, operands); });
}

std::string rnn_library_version() {
  return "emulated cuDNN";
}

}  // namespace seqrank::cuda
