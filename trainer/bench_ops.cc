// One function an operator: its operands, its FLOPs or bytes, and the calls that are timed.
#include "trainer/bench_ops.h"

#include <algorithm>
#include <cmath>

#include "backend/ops/activation.h"
#include "backend/ops/attention.h"
#include "backend/ops/embedding.h"
#include "backend/ops/softmax_cross_entropy.h"
#include "backend/ops/unique_rows.h"
#include "backend/stopwatch.h"
#include "backend/transfer.h"

namespace seqrank {
namespace {

constexpr double kRepeatSeconds = 2e-3;
constexpr double kMostCalls = 1000;
constexpr std::int64_t kSoftmaxEvents = 8192;  // at most, so that large catalogues end in time

DType type_of(Precision precision) {
  if (precision == Precision::bf16) return DType::bf16;
  if (precision == Precision::fp16) return DType::f16;
  return DType::f32;
}

// The loop over repeats, and what all operators are measured with.
class Bench {
 public:
  Bench(Context& ctx, const OpsPlan& plan) : plan(plan), ctx_(ctx) {
    for (const std::int64_t longest : plan.lengths) {
      result.lengths.push_back(SampleLengths::fixed(longest, plan.events));
      result.lengths.push_back(SampleLengths::packed(longest, plan.events));
    }
    for (const SampleLengths& lengths : result.lengths) packings.emplace_back(ctx, lengths);
  }

  // False, and a note, where this device multiplies in another type.
  bool multiplies_in(Precision precision) {
    const std::string note = ctx_.set_precision(precision);
    if (!note.empty()) result.notes.push_back(note);
    return note.empty();
  }

  template <class Call>
  void time(OpSpeed speed, Call call) {
    Profile profile;  // counts the products
    ctx_.set_profile(&profile);
    call();
    ctx_.set_profile(nullptr);
    if (speed.flops == 0 && speed.bytes == 0) speed.flops = profile.flops;
    const auto seconds_of = [&](std::int64_t calls) {
      ctx_.compute().synchronize();
      const Stopwatch watch;
      for (std::int64_t i = 0; i < calls; ++i) call();
      ctx_.compute().synchronize();
      return watch.seconds();
    };
    const double once = std::max(1e-9, std::min(seconds_of(1), seconds_of(1)));
    speed.calls =
        static_cast<std::int64_t>(std::clamp(std::ceil(kRepeatSeconds / once), 1.0, kMostCalls));
    for (std::int64_t i = 0; i < plan.repeats; ++i)
      speed.seconds.push_back(seconds_of(speed.calls) / static_cast<double>(speed.calls));
    result.speeds.push_back(std::move(speed));
  }

  const OpsPlan& plan;
  std::vector<SamplePacking> packings;  // of result.lengths
  OpsBench result;

 private:
  Context& ctx_;
};

void time_attention(Context& ctx, Bench& bench, Precision precision, std::size_t which,
                    std::int64_t head_width) {
  const SampleLengths& lengths = bench.result.lengths[which];
  const std::int64_t heads = std::max<std::int64_t>(1, bench.plan.width / head_width);
  const Shape shape = {lengths.events, heads, head_width};
  SampleValues values(ctx, type_of(precision), 4 * (shape.numel() + 64));
  const Tensor q = values.take(shape), k = values.take(shape), v = values.take(shape),
               d_o = values.take(shape);
  Tensor o = ctx.empty(q.dtype(), shape), dq = ctx.empty(q.dtype(), shape),
         dk = ctx.empty(q.dtype(), shape), dv = ctx.empty(q.dtype(), shape), absent;
  Tensor lse = ctx.empty(DType::f32, {lengths.events, heads});
  AttentionOptions options;
  options.scale = 1 / std::sqrt(static_cast<float>(head_width));
  options.max_length = lengths.longest;
  const Tensor& offset_B1 = bench.packings[which].offset_B1;
  const auto forward = [&] {
    multi_head_attention(ctx, options, o, lse, q, k, v, {}, {}, offset_B1);
  };
  OpSpeed speed{"multi_head_attention", "forward", precision_name(precision), lengths.name};
  speed.sizes = {{"events", lengths.events}, {"heads", heads}, {"head_width", head_width}};
  speed.flops = 4.0 * static_cast<double>(heads * head_width) * lengths.causal_pairs();
  bench.time(speed, forward);
  speed.pass = "forward+backward";
  speed.flops *= 3;
  bench.time(speed, [&] {
    forward();
    multi_head_attention_backward(ctx, options, dq, dk, dv, absent, absent, d_o, o, lse, q, k, v,
                                  {}, {}, offset_B1);
  });
}

void time_recurrence(Context& ctx, Bench& bench, Precision precision, Cell cell,
                     RecurrenceKernels kernels, std::size_t which) {
  const SampleLengths& lengths = bench.result.lengths[which];
  const std::int64_t width = bench.plan.width, gates = cell_gates(cell) * width;
  const Shape events = {lengths.events, width}, square = {gates, width}, bias = {gates};
  SampleValues values(ctx, DType::f32,
                      2 * (events.numel() + square.numel() + bias.numel()) + 6 * 64);
  const Tensor x = values.take(events), dh = values.take(events);
  const RecurrenceWeights weights{values.take(square), values.take(square), values.take(bias),
                                  values.take(bias)};
  RecurrenceWeights gradients{ctx.empty(DType::f32, square), ctx.empty(DType::f32, square),
                              ctx.empty(DType::f32, bias), ctx.empty(DType::f32, bias)};
  for (Tensor* gradient :
       {&gradients.w_x_GK, &gradients.w_h_GH, &gradients.b_x_G, &gradients.b_h_G})
    fill(ctx, *gradient, 0);
  Tensor h = ctx.empty(DType::f32, events), dx = ctx.empty(DType::f32, events);
  const SamplePacking& packing = bench.packings[which];
  OpSpeed speed{cell == Cell::lstm ? "lstm" : "gru", "forward+backward", precision_name(precision),
                lengths.name};
  if (kernels != RecurrenceKernels::chosen)
    speed.by = kernels == RecurrenceKernels::own ? "own" : "library";
  speed.sizes = {{"events", lengths.events}, {"width", width}};
  ctx.set_recurrence_kernels(kernels);
  bench.time(speed, [&] {
    RecurrenceReserve reserve;
    recurrence(ctx, cell, h, reserve, x, weights, packing.order());
    recurrence_backward(ctx, cell, dx, gradients, dh, x, reserve, weights, packing.order());
  });
}

void time_softmax(Context& ctx, Bench& bench, Precision precision, std::int64_t items) {
  const std::int64_t events = std::min(bench.plan.events, kSoftmaxEvents), width = bench.plan.width;
  const Shape h_shape = {events, width}, table_shape = {items, width};
  SampleValues values(ctx, DType::f32, h_shape.numel() + table_shape.numel() + 2 * 64);
  const Tensor h = values.take(h_shape), table = values.take(table_shape);
  const Tensor target = to_device(ctx, sample_ids(ctx, events, items));
  Tensor loss = ctx.empty(DType::f64, {1}), dh = ctx.empty(DType::f32, h_shape),
         dtable = ctx.empty(DType::f32, table_shape), absent;
  fill(ctx, loss, 0);
  fill(ctx, dtable, 0);
  OpSpeed speed{"softmax_cross_entropy", "forward+backward", precision_name(precision), ""};
  speed.sizes = {{"events", events}, {"width", width}, {"items", items}};
  bench.time(speed, [&] {
    softmax_cross_entropy(ctx, loss, dh, dtable, absent, h, table, {}, target,
                          1 / static_cast<float>(events), {});
  });
}

// Ids drawn evenly: no row is in a cache because it is popular. The gradient is summed by distinct
// ids first, as training does it.
void time_rows(Context& ctx, Bench& bench, std::int64_t items) {
  const std::int64_t events = bench.plan.events, width = bench.plan.width;
  const Shape events_shape = {events, width}, table_shape = {items, width};
  SampleValues values(ctx, DType::f32, std::max(events_shape.numel(), table_shape.numel()) + 64);
  const Tensor ids = sample_ids(ctx, events, items);
  const UniqueRows rows = to_device(ctx, unique_rows(ctx.host_arena(), ids.span<std::int32_t>()));
  const Tensor id_N = to_device(ctx, ids), table = values.take(table_shape);
  values.restart();
  const Tensor dy = values.take(events_shape);
  Tensor y = ctx.empty(DType::f32, events_shape), gradient = ctx.empty(DType::f32, table_shape),
         sum = ctx.empty(DType::f32, {rows.id_U.dim(0), width});
  fill(ctx, gradient, 0);
  const double row_bytes = 4.0 * static_cast<double>(width);
  OpSpeed speed{"gather_rows", "forward", "fp32", ""};
  speed.sizes = {{"events", events}, {"width", width}, {"items", items}};
  speed.bytes = static_cast<double>(events) * (2 * row_bytes + 4);
  bench.time(speed, [&] { gather_rows(ctx, y, table, id_N); });
  speed.op = "sum_rows+scatter_add_rows";
  speed.pass = "backward";
  const auto distinct = static_cast<double>(rows.id_U.dim(0));
  speed.bytes = static_cast<double>(events) * (row_bytes + 4) + distinct * (4 * row_bytes + 8);
  bench.time(speed, [&] {
    sum_rows(ctx, sum, dy, rows);
    scatter_add_rows(ctx, gradient, rows.id_U, sum);
  });
}

}  // namespace

OpsBench bench_ops(Context& ctx, const OpsPlan& plan) {
  Bench bench(ctx, plan);
  for (const Precision precision : plan.precisions) {
    if (!bench.multiplies_in(precision)) continue;
    const bool for_attention =
        ctx.device() == Device::cuda ? precision != Precision::tf32 : precision == Precision::fp32;
    for (std::size_t which = 0; which < bench.packings.size(); ++which) {
      if (plan.attention && for_attention)
        for (const std::int64_t head_width : plan.head_widths)
          time_attention(ctx, bench, precision, which, head_width);
      if (plan.recurrence && bench.result.lengths[which].longest <= plan.recurrence_longest)
        for (const Cell cell : {Cell::lstm, Cell::gru})
          for (const RecurrenceKernels kernels : plan.recurrences)
            time_recurrence(ctx, bench, precision, cell, kernels, which);
    }
    if (plan.softmax)
      for (const std::int64_t items : plan.items) time_softmax(ctx, bench, precision, items);
  }
  if (plan.rows)
    for (const std::int64_t items : plan.items) time_rows(ctx, bench, items);
  return std::move(bench.result);
}

}  // namespace seqrank
