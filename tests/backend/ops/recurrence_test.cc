// LSTM and GRU against plain loops over each sequence in doubles; on a CUDA device both by the own
// kernels and by the vendor's library.
#include "backend/ops/recurrence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "backend/device_facts.h"
#include "tests/backend/ops/packing.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

// Gates of all events from the definition, and h and c; sequences one by one.
struct Reference {
  Cell cell;
  Packing packing;
  std::int64_t inputs, width;
  bool begins = false;  // with states "h0", a row a sequence of step 0

  std::int64_t gates() const { return cell_gates(cell) * width; }

  // [gate row] of w x + b.
  static double row_sum(const std::vector<double>& w, const std::vector<double>& b, std::int64_t g,
                        const double* x, std::int64_t columns) {
    double sum = b[g];
    for (std::int64_t k = 0; x != nullptr && k < columns; ++k) sum += w[g * columns + k] * x[k];
    return sum;
  }

  struct Event {
    std::vector<double> gate, inner, c, h;
  };

  Event step(Values& v, std::int64_t n, const Event* before) const {
    Event e;
    const double* x = v["x"].data() + n * inputs;
    const double* h = before == nullptr ? nullptr : before->h.data();
    for (std::int64_t j = 0; j < width; ++j) {
      const auto in = [&](int gate) {
        return row_sum(v["w_x"], v["b_x"], gate * width + j, x, inputs);
      };
      const auto rec = [&](int gate) {
        return row_sum(v["w_h"], v["b_h"], gate * width + j, h, width);
      };
      if (cell == Cell::lstm) {
        const double i = sigmoid(in(0) + rec(0)), f = sigmoid(in(1) + rec(1));
        const double g = std::tanh(in(2) + rec(2)), o = sigmoid(in(3) + rec(3));
        const double c = f * (before == nullptr ? 0 : before->c[j]) + i * g;
        e.gate.insert(e.gate.end(), {i, f, g, o});
        e.c.push_back(c);
        e.h.push_back(o * std::tanh(c));
      } else {
        const double r = sigmoid(in(0) + rec(0)), z = sigmoid(in(1) + rec(1)), inner = rec(2);
        const double candidate = std::tanh(in(2) + r * inner);
        e.gate.insert(e.gate.end(), {r, z, candidate});
        e.inner.push_back(inner);
        e.h.push_back((1 - z) * candidate + z * (before == nullptr ? 0 : before->h[j]));
      }
    }
    return e;
  }

  // The state before the first event of sequence b, as an event.
  Event first(Values& v, std::int64_t b) const {
    Event e;
    const auto slot = std::ranges::find(packing.time_order, packing.offset[b]);
    const double* h0 = v["h0"].data() + (slot - packing.time_order.begin()) * width;
    e.h.assign(h0, h0 + width);
    return e;
  }

  // Event t is at t + 1 where the state before the first one is given.
  std::vector<Event> run(Values& v, std::int64_t b) const {
    std::vector<Event> events;
    if (begins && packing.lengths[b] > 0) events.push_back(first(v, b));
    for (std::int64_t t = 0; t < packing.lengths[b]; ++t) {
      const std::int64_t n = static_cast<std::int64_t>(packing.offset[b]) + t;
      events.push_back(step(v, n, events.empty() ? nullptr : &events.back()));
    }
    return events;
  }

  void forward(Values& v) const {
    std::vector<double> h;
    for (std::int64_t b = 0; b < packing.sequences(); ++b) {
      const std::vector<Event> events = run(v, b);
      for (std::size_t i = begins ? 1 : 0; i < events.size(); ++i)
        h.insert(h.end(), events[i].h.begin(), events[i].h.end());
    }
    v["h"] = h;
  }

  // Gradients of one unit's sums, by gate: of W x + b_x, and of U h + b_h.
  struct UnitGradient {
    std::vector<double> x, h;
  };

  UnitGradient unit_backward(const Event& e, const Event* before, std::int64_t j, double dh,
                             double& dc, double& dh_past) const {
    if (cell == Cell::lstm) {
      const double *a = e.gate.data() + 4 * j, th = std::tanh(e.c[j]);
      const double dcell = dc + dh * a[3] * (1 - th * th);
      dc = dcell * a[1];
      dh_past = 0;
      const std::vector<double> d = {
          dcell * a[2] * a[0] * (1 - a[0]),
          dcell * (before == nullptr ? 0 : before->c[j]) * a[1] * (1 - a[1]),
          dcell * a[0] * (1 - a[2] * a[2]), dh * th * a[3] * (1 - a[3])};
      return {d, d};
    }
    const double* a = e.gate.data() + 3 * j;
    const double h_before = before == nullptr ? 0 : before->h[j];
    const double dn = dh * (1 - a[1]) * (1 - a[2] * a[2]);
    const double dz = dh * (h_before - a[2]) * a[1] * (1 - a[1]);
    const double dr = dn * e.inner[j] * a[0] * (1 - a[0]);
    dh_past = dh * a[1];
    return {{dr, dz, dn}, {dr, dz, dn * a[0]}};
  }

  void backward(Values& v) const {
    for (std::int64_t b = 0; b < packing.sequences(); ++b) {
      const std::vector<Event> events = run(v, b);
      std::vector<double> dc(width), dh_next(width);
      for (std::int64_t t = packing.lengths[b] - 1; t >= 0; --t) {
        const std::int64_t n = static_cast<std::int64_t>(packing.offset[b]) + t;
        const std::int64_t at = begins ? t + 1 : t;
        const Event* before = at == 0 ? nullptr : &events[at - 1];
        std::vector<double> dh_before(width);
        for (std::int64_t j = 0; j < width; ++j) {
          double past = 0;
          const double dh = v["dh"][n * width + j] + dh_next[j];
          const UnitGradient d = unit_backward(events[at], before, j, dh, dc[j], past);
          dh_before[j] += past;
          add_unit(v, n, j, d, before, dh_before);
        }
        dh_next = dh_before;
      }
    }
  }

  void add_unit(Values& v, std::int64_t n, std::int64_t j, const UnitGradient& d,
                const Event* before, std::vector<double>& dh_before) const {
    for (int gate = 0; gate < cell_gates(cell); ++gate) {
      const std::int64_t g = gate * width + j;
      v["db_x"][g] += d.x[gate];
      v["db_h"][g] += d.h[gate];
      for (std::int64_t k = 0; k < inputs; ++k) {
        v["dw_x"][g * inputs + k] += d.x[gate] * v["x"][n * inputs + k];
        v["dx"][n * inputs + k] += d.x[gate] * v["w_x"][g * inputs + k];
      }
      for (std::int64_t k = 0; before != nullptr && k < width; ++k) {
        v["dw_h"][g * width + k] += d.h[gate] * before->h[k];
        dh_before[k] += d.h[gate] * v["w_h"][g * width + k];
      }
    }
  }
};

OpCase make_case(const Reference& reference, Device device) {
  const Packing& packing = reference.packing;
  const std::int64_t events = packing.events(), gates = reference.gates();
  OpCase c(fmt::format("{} B={} N={} K={} H={}", reference.cell == Cell::lstm ? "lstm" : "gru",
                       packing.sequences(), events, reference.inputs, reference.width),
           device);
  c.input("x", {events, reference.inputs})
      .input("w_x", {gates, reference.inputs})
      .input("w_h", {gates, reference.width})
      .input("b_x", {gates})
      .input("b_h", {gates})
      .constant_values("offset", {packing.sequences() + 1}, DType::i32, packing.offset)
      .constant_values("time_order", {events}, DType::i32, packing.time_order)
      .output("h", {events, reference.width})
      .added("dw_x")
      .added("dw_h")
      .added("db_x")
      .added("db_h");
  if (reference.begins) {
    std::vector<double> h0(
        packing.sequences_at.empty() ? 0 : packing.sequences_at[0] * reference.width);
    for (std::size_t i = 0; i < h0.size(); ++i) h0[i] = std::sin(3 + 1.3 * static_cast<double>(i));
    c.constant_values("h0",
                      {static_cast<std::int64_t>(h0.size()) / reference.width, reference.width},
                      DType::f32, h0);
  }
  c.reference([=](Values& v) { reference.forward(v); });
  c.reference_backward([=](Values& v) { reference.backward(v); });
  return c;
}

// Forward and backward.
void run_both(Context& ctx, Tensors& t, Cell cell, const Packing& packing,
              const Tensor& h0 = none) {
  const RecurrenceWeights weights{t["w_x"], t["w_h"], t["b_x"], t["b_h"]};
  RecurrenceWeights gradients{t["dw_x"], t["dw_h"], t["db_x"], t["db_h"]};
  const PackedOrder order{t["offset"], t["time_order"], packing.sequences_at};
  RecurrenceReserve reserve;
  recurrence(ctx, cell, t["h"], reserve, t["x"], weights, order, h0);
  recurrence_backward(ctx, cell, t["dx"], gradients, t["dh"], t["x"], reserve, weights, order, h0);
}

// Adds a run by each that a device has a recurrence of.
template <class Run>
void run_by_all(OpCase& c, Device device, Run run) {
  if (device == Device::cpu) {
    c.run("both", run);
    return;
  }
  for (auto [kernels, name] :
       {std::pair{RecurrenceKernels::own, "own"}, {RecurrenceKernels::library, "library"}}) {
    c.run(name, [=](Context& ctx, Tensors& t) {
      ctx.set_recurrence_kernels(kernels);
      run(ctx, t);
    });
  }
}

SEQRANK_OP_TEST(Recurrence, MatchesReference) {
  for (Cell cell : {Cell::lstm, Cell::gru}) {
    for (const Packing& packing : packings()) {
      OpCase c = make_case({cell, packing, 3, 5}, device);
      run_by_all(c, device, [&](Context& ctx, Tensors& t) { run_both(ctx, t, cell, packing); });
      c.check();
    }
  }
}

// Widths below, at and above whole vectors and panels of the step's product.
SEQRANK_OP_TEST(Recurrence, Widths) {
  const Packing packing({1, 2});
  for (Cell cell : {Cell::lstm, Cell::gru}) {
    for (auto [inputs, width] : {std::pair{1, 1}, {7, 16}, {2, 33}, {3, 128}}) {
      OpCase c = make_case({cell, packing, inputs, width}, device);
      run_by_all(c, device, [&](Context& ctx, Tensors& t) { run_both(ctx, t, cell, packing); });
      c.check();
    }
  }
}

SEQRANK_OP_TEST(Recurrence, FromGivenStates) {
  for (const Packing& packing : packings()) {
    for (auto [inputs, width] : {std::pair{3, 5}, {2, 17}}) {
      OpCase c = make_case({Cell::gru, packing, inputs, width, true}, device);
      run_by_all(c, device,
                 [&](Context& ctx, Tensors& t) { run_both(ctx, t, Cell::gru, packing, t["h0"]); });
      c.check();
    }
  }
}

SEQRANK_OP_TEST(Recurrence, FromGivenStatesInBf16) {
  const Packing packing({4, 0, 2, 1});
  OpCase c = make_case({Cell::gru, packing, 3, 17, true}, device);
  c.tolerance(device == Device::cpu ? 0x1p-7 : 0x1p-6);
  run_by_all(c, device, [&](Context& ctx, Tensors& t) {
    const std::string note = ctx.set_precision(Precision::bf16);
    run_both(ctx, t, Cell::gru, packing, t["h0"]);
  });
  c.check();
}

// A rounded product goes through a gate into the next: twice the tolerance of one. cuDNN rounds
// the states and gradients between events, too.
SEQRANK_OP_TEST(Recurrence, InBf16) {
  for (Cell cell : {Cell::lstm, Cell::gru}) {
    for (const Packing& packing : {Packing({4, 0, 2, 1})}) {
      OpCase c = make_case({cell, packing, 3, 17}, device);
      c.tolerance(device == Device::cpu ? 0x1p-7 : 0x1p-6);
      run_by_all(c, device, [&](Context& ctx, Tensors& t) {
        const std::string note = ctx.set_precision(Precision::bf16);
        run_both(ctx, t, cell, packing);
      });
      c.check();
    }
  }
}

// The gradient of x left out: everything else is the same.
SEQRANK_OP_TEST(Recurrence, WithoutInputGradient) {
  const Packing packing({4, 0, 2});
  for (Cell cell : {Cell::lstm, Cell::gru}) {
    OpCase c = make_case({cell, packing, 2, 3}, device);
    run_by_all(c, device, [&](Context& ctx, Tensors& t) {
      const Tensor wanted = t["dx"];
      t["dx"] = none;
      run_both(ctx, t, cell, packing);
      t["dx"] = wanted;
      const RecurrenceWeights weights{t["w_x"], t["w_h"], t["b_x"], t["b_h"]};
      RecurrenceWeights spare{
          ctx.empty(DType::f32, t["w_x"].shape()), ctx.empty(DType::f32, t["w_h"].shape()),
          ctx.empty(DType::f32, t["b_x"].shape()), ctx.empty(DType::f32, t["b_h"].shape())};
      const PackedOrder order{t["offset"], t["time_order"], packing.sequences_at};
      RecurrenceReserve reserve;
      recurrence(ctx, cell, t["h"], reserve, t["x"], weights, order);
      recurrence_backward(ctx, cell, t["dx"], spare, t["dh"], t["x"], reserve, weights, order);
    });
    c.check();
  }
}

SEQRANK_OP_TEST(Recurrence, InTypesOfGpus) {
  if (device == Device::cpu) GTEST_SKIP() << "a CPU multiplies in neither fp16 nor tf32";
  const Packing packing({4, 0, 1, 6});
  for (Precision precision : {Precision::fp16, Precision::tf32}) {
    SCOPED_TRACE(precision_name(precision));
    for (Cell cell : {Cell::lstm, Cell::gru}) {
      OpCase c = make_case({cell, packing, 3, 5}, device);
      run_by_all(c, device, [&](Context& ctx, Tensors& t) {
        EXPECT_EQ(ctx.set_precision(precision), "");
        run_both(ctx, t, cell, packing);
      });
      c.tolerance(0x1p-9).check();
    }
  }
}

// A layer of seeded values in a context of its own.
struct Layer {
  Layer(Device device, int threads, Cell cell, const Packing& packing, std::int64_t inputs,
        std::int64_t width)
      : ctx(device, threads), cell(cell), packing(packing) {
    const std::int64_t gates = cell_gates(cell) * width, events = packing.events();
    const double size = 1 / std::sqrt(static_cast<double>(width));
    weights = {tensor({gates, inputs}, 1, size), tensor({gates, width}, 2, size),
               tensor({gates}, 3, 1), tensor({gates}, 4, 1)};
    gradients = {tensor({gates, inputs}, 0, 0), tensor({gates, width}, 0, 0), tensor({gates}, 0, 0),
                 tensor({gates}, 0, 0)};
    x = tensor({events, inputs}, 5, 1);
    dx = tensor({events, inputs}, 0, 0);
    h = tensor({events, width}, 0, 0);
    dh = tensor({events, width}, 6, 1);
    offset = ctx.empty(DType::i32, {packing.sequences() + 1});
    set_values(ctx, offset, packing.offset);
    time_order = ctx.empty(DType::i32, {events});
    set_values(ctx, time_order, packing.time_order);
  }
  Tensor tensor(Shape shape, double seed, double size) {
    Tensor t = ctx.empty(DType::f32, shape);
    std::vector<double> values(shape.numel());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = size * std::sin(seed + 1.7 * i);
    set_values(ctx, t, values);
    return t;
  }
  PackedOrder order() const { return {offset, time_order, packing.sequences_at}; }
  std::vector<double> forward() {
    recurrence(ctx, cell, h, reserve, x, weights, order());
    return get_values(ctx, h);
  }
  // By name: h and all gradients.
  std::map<std::string, std::vector<double>> both() {
    std::map<std::string, std::vector<double>> results = {{"h", forward()}};
    recurrence_backward(ctx, cell, dx, gradients, dh, x, reserve, weights, order());
    results["dx"] = get_values(ctx, dx);
    results["dw_x"] = get_values(ctx, gradients.w_x_GK);
    results["dw_h"] = get_values(ctx, gradients.w_h_GH);
    results["db_x"] = get_values(ctx, gradients.b_x_G);
    results["db_h"] = get_values(ctx, gradients.b_h_G);
    return results;
  }

  Context ctx;
  Cell cell;
  Packing packing;
  RecurrenceWeights weights, gradients;
  Tensor x, dx, h, dh, offset, time_order;
  RecurrenceReserve reserve;
};

// The most that an element of `other` is away from that of `one`, by the largest of `one`.
double distance(const std::vector<double>& one, const std::vector<double>& other) {
  double largest = 0, away = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    largest = std::max(largest, std::abs(one[i]));
    const double apart = std::abs(one[i] - other[i]);
    away = apart <= away ? away : apart;  // keeps a NaN
  }
  return away / largest;
}

// Of a GPU's own kernels and of its library: widths on both sides of what one of their threads, or
// registers alone, can hold, and sequences of hundreds of events, one alone and many, as the CPU's.
// Over so many events roundings add up, most in the gradient of w_h: the bounds are wide, and the
// tight ones are those of the cases above.
SEQRANK_OP_TEST(Recurrence, LongSequences) {
  if (device == Device::cpu) GTEST_SKIP() << "the CPU's is what is compared with";
  const std::map<Precision, double> tolerances = {{Precision::fp32, 1e-4},
                                                  {Precision::tf32, 0x1p-6},
                                                  {Precision::bf16, 0x1p-3},
                                                  {Precision::fp16, 0x1p-6}};
#ifdef __SANITIZE_THREAD__  // where a step costs a hundred times as much
  const std::vector<Packing> packings = {Packing({7, 0, 12, 1})};
#else
  const std::vector<Packing> packings = {Packing({301}), Packing({7, 0, 120, 1, 7, 2})};
#endif
  for (Cell cell : {Cell::lstm, Cell::gru}) {
    for (const Packing& packing : packings) {
      for (std::int64_t width : {32, 64, 65, 128}) {
        const auto want = Layer(Device::cpu, 1, cell, packing, 5, width).both();
        for (auto [precision, tolerance] : tolerances) {
          if (precision != Precision::fp32 && width != 64) continue;
          for (RecurrenceKernels kernels : {RecurrenceKernels::own, RecurrenceKernels::library}) {
            Layer layer(device, 1, cell, packing, 5, width);
            EXPECT_EQ(layer.ctx.set_precision(precision), "");
            layer.ctx.set_recurrence_kernels(kernels);
            for (const auto& [name, values] : layer.both()) {
              EXPECT_LT(distance(want.at(name), values), tolerance)
                  << name << ", " << precision_name(precision) << ", width " << width << ", "
                  << (kernels == RecurrenceKernels::own ? "own " : "library ")
                  << (cell == Cell::lstm ? "LSTM, " : "GRU, ") << packing.sequences()
                  << " sequences";
            }
          }
        }
      }
    }
  }
}

// Up to a width own kernels, beyond it the library; a layer's choice is told once.
SEQRANK_OP_TEST(Recurrence, ChoosesByWidth) {
  if (device == Device::cpu) GTEST_SKIP() << "a CPU has no choice";
  const Packing packing({2, 1});
  for (auto [width, own] : {std::pair{128, true}, {129, false}}) {
    Layer layer(device, 1, Cell::gru, packing, 3, width);
    layer.both();
    layer.both();
    EXPECT_EQ(!layer.reserve.library, own) << width;
    const std::vector<std::string> notes = take_device_notes(layer.ctx);
    EXPECT_EQ(std::ranges::count(notes, "own kernels: GRU of 3 inputs and width 128"), own ? 1 : 0);
  }
  Layer wide(device, 1, Cell::gru, packing, 3, 129);
  wide.ctx.set_recurrence_kernels(RecurrenceKernels::own);
  EXPECT_THROW(wide.forward(), Error);
}

std::vector<double> hidden(Device device, RecurrenceKernels kernels, Cell cell, int threads,
                           const Packing& packing, std::int64_t inputs, std::int64_t width,
                           std::int64_t changed_event) {
  Layer layer(device, threads, cell, packing, inputs, width);
  layer.ctx.set_recurrence_kernels(kernels);
  if (changed_event >= 0) {
    std::vector<double> values = get_values(layer.ctx, layer.x);
    values[changed_event * inputs] += 1;
    set_values(layer.ctx, layer.x, values);
  }
  return layer.forward();
}

// An event reaches itself and what follows it in its own sequence, and nothing else, to the bit.
SEQRANK_OP_TEST(Recurrence, IsCausal) {
  const Packing packing({3, 6, 1});
  const std::int64_t event = 5;  // the third of sequence 1: events 3..8
  for (RecurrenceKernels kernels : {RecurrenceKernels::own, RecurrenceKernels::library}) {
    for (Cell cell : {Cell::lstm, Cell::gru}) {
      const std::vector<double> plain = hidden(device, kernels, cell, 1, packing, 2, 4, -1);
      const std::vector<double> changed = hidden(device, kernels, cell, 1, packing, 2, 4, event);
      for (std::int64_t n = 0; n < packing.events(); ++n) {
        const bool after = n >= event && n < 9;
        const bool same = std::equal(&plain[n * 4], &plain[n * 4] + 4, &changed[n * 4]);
        EXPECT_EQ(same, !after) << "event " << n;
      }
    }
  }
}

TEST(Recurrence, SameBitsAtAnyNumberOfThreads) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "OpenMP threads under ThreadSanitizer give false reports";
#endif
  const Packing many({9, 2, 7, 7, 1, 5, 0, 3, 9, 4, 6});
  for (Cell cell : {Cell::lstm, Cell::gru}) {
    const auto of = [&](int threads) {
      return hidden(Device::cpu, RecurrenceKernels::chosen, cell, threads, many, 3, 20, -1);
    };
    for (int threads : {2, 3}) EXPECT_EQ(of(1), of(threads)) << threads;
  }
}

}  // namespace
}  // namespace seqrank
