// Both forms of additive attention against the definition, written out over all pairs of events in
// doubles.
#include "backend/ops/additive_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/backend/ops/packing.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

using Row = std::vector<double>;

Row softmax(Row score) {
  double max = -1e300, sum = 0;
  for (double s : score) max = std::max(max, s);
  for (double& s : score) sum += s = std::exp(s - max);
  for (double& s : score) s /= sum;
  return score;
}

// What both forms share: everything behind the scores. scores(t) are those of event t of a
// sequence on its events 0..t.
struct Attention {
  Packing packing;
  std::int64_t width;

  // For each event: f(first event of its sequence, place t in it).
  void each(const std::function<void(std::int64_t, std::int64_t)>& f) const {
    for (std::int64_t b = 0; b < packing.sequences(); ++b) {
      for (std::int64_t t = 0; t < packing.lengths[b]; ++t) {
        f(static_cast<std::int64_t>(packing.offset[b]), t);
      }
    }
  }

  void forward(Values& v, std::int64_t first, const Row& score) const {
    const Row a = softmax(score);
    const std::int64_t n = first + static_cast<std::int64_t>(a.size()) - 1;
    for (std::size_t j = 0; j < a.size(); ++j) {
      for (std::int64_t d = 0; d < width; ++d) {
        v["c"][n * width + d] += a[j] * v["v"][(first + j) * width + d];
      }
    }
  }

  // Adds to dv; returns the gradients of the scores.
  Row backward(Values& v, std::int64_t first, const Row& score) const {
    const Row a = softmax(score);
    const std::int64_t n = first + static_cast<std::int64_t>(a.size()) - 1;
    Row da(a.size()), ds(a.size());
    double mean = 0;
    for (std::size_t j = 0; j < a.size(); ++j) {
      for (std::int64_t d = 0; d < width; ++d) {
        da[j] += v["dc"][n * width + d] * v["v"][(first + j) * width + d];
        v["dv"][(first + j) * width + d] += a[j] * v["dc"][n * width + d];
      }
      mean += a[j] * da[j];
    }
    for (std::size_t j = 0; j < a.size(); ++j) ds[j] = a[j] * (da[j] - mean);
    return ds;
  }
};

Row running_scores(Values& v, std::int64_t first, std::int64_t t) {
  return {v["score"].begin() + first, v["score"].begin() + first + t + 1};
}

void running_case(Device device, const Packing& packing, std::int64_t width, double range) {
  const Attention attention{packing, width};
  const std::int64_t events = packing.events();
  OpCase c(
      fmt::format("running B={} N={} D={} scores to {}", packing.sequences(), events, width, range),
      device);
  c.input("score", {events}, -range, range).input("v", {events, width});
  c.constant_values("offset", {packing.sequences() + 1}, DType::i32, packing.offset);
  c.output("c", {events, width}).side_output("max", {events}).side_output("sum", {events});
  c.reference([=](Values& v) {
    attention.each([&](std::int64_t first, std::int64_t t) {
      const Row score = running_scores(v, first, t);
      attention.forward(v, first, score);
      const double max = *std::ranges::max_element(score);
      v["max"][first + t] = max;
      for (double s : score) v["sum"][first + t] += std::exp(s - max);
    });
  });
  c.reference_backward([=](Values& v) {
    attention.each([&](std::int64_t first, std::int64_t t) {
      const Row ds = attention.backward(v, first, running_scores(v, first, t));
      for (std::size_t j = 0; j < ds.size(); ++j) v["dscore"][first + j] += ds[j];
    });
  });
  c.run("both", [](Context& ctx, Tensors& t) {
    running_attention(ctx, t["c"], t["max"], t["sum"], t["score"], t["v"], t["offset"]);
    running_attention_backward(ctx, t["dscore"], t["dv"], t["dc"], t["c"], t["max"], t["sum"],
                               t["score"], t["v"], t["offset"]);
  });
  c.check();
}

SEQRANK_OP_TEST(RunningAttention, MatchesReference) {
  for (const Packing& packing : packings()) running_case(device, packing, 5, 2);
}

SEQRANK_OP_TEST(RunningAttention, Widths) {
  for (std::int64_t width : {1, 16, 33}) running_case(device, Packing({3, 1, 6}), width, 2);
}

// Beyond a warp of events, and of 32 columns.
SEQRANK_OP_TEST(RunningAttention, Lengths) {
  running_case(device, Packing({34, 41}), 33, 2);
}

// Terms vanish, and vanish again when a much larger score comes: nothing overflows or turns to NaN.
SEQRANK_OP_TEST(RunningAttention, ExtremeScores) {
  running_case(device, Packing({12, 1, 18}), 3, 80);
}

// Multiples of 1/4, shifted: k + q is never near zero, where relu has no derivative.
Row grid(std::int64_t n, double shift, int seed) {
  Row values(n);
  for (std::int64_t i = 0; i < n; ++i) values[i] = ((i * 37 + seed) % 13 - 6) / 4.0 + shift;
  return values;
}

struct QueryReference {
  Attention attention;
  Activation act;
  std::int64_t keys;

  double value(double x) const { return act == Activation::tanh ? std::tanh(x) : std::max(x, 0.0); }
  double slope(double y) const { return act == Activation::tanh ? 1 - y * y : y > 0; }
  double inner(Values& v, std::int64_t n, std::int64_t j, std::int64_t a) const {
    return value(v["k"][j * keys + a] + v["q"][n * keys + a]);
  }

  Row scores(Values& v, std::int64_t first, std::int64_t t) const {
    Row score(t + 1);
    for (std::int64_t j = 0; j <= t; ++j) {
      for (std::int64_t a = 0; a < keys; ++a) {
        score[j] += v["w"][a] * inner(v, first + t, first + j, a);
      }
    }
    return score;
  }

  void forward(Values& v) const {
    attention.each([&](std::int64_t first, std::int64_t t) {
      const Row score = scores(v, first, t);
      attention.forward(v, first, score);
      const double max = *std::ranges::max_element(score);
      double sum = 0;
      for (double s : score) sum += std::exp(s - max);
      v["lse"][first + t] = max + std::log(sum);
    });
  }

  void backward(Values& v) const {
    attention.each([&](std::int64_t first, std::int64_t t) {
      const std::int64_t n = first + t;
      const Row ds = attention.backward(v, first, scores(v, first, t));
      for (std::int64_t j = 0; j <= t; ++j) {
        for (std::int64_t a = 0; a < keys; ++a) {
          const double y = inner(v, n, first + j, a), d = ds[j] * v["w"][a] * slope(y);
          v["dw"][a] += ds[j] * y;
          v["dk"][(first + j) * keys + a] += d;
          v["dq"][n * keys + a] += d;
        }
      }
    });
  }
};

OpCase query_case(Device device, const QueryReference& reference) {
  const Packing& packing = reference.attention.packing;
  const std::int64_t events = packing.events(), keys = reference.keys;
  const std::int64_t width = reference.attention.width;
  OpCase c(fmt::format("query {} B={} N={} A={} D={}",
                       reference.act == Activation::tanh ? "tanh" : "relu", packing.sequences(),
                       events, keys, width),
           device);
  c.input_values("k", {events, keys}, grid(events * keys, 0, 3));
  c.input_values("q", {events, keys}, grid(events * keys, 0.125, 8));
  c.input("v", {events, width});
  c.constant_values("offset", {packing.sequences() + 1}, DType::i32, packing.offset);
  c.output("c", {events, width}).side_output("lse", {events});
  c.reference([=](Values& v) { reference.forward(v); });
  c.reference_backward([=](Values& v) { reference.backward(v); });
  c.run("both", [act = reference.act](Context& ctx, Tensors& t) {
    query_attention(ctx, act, t["c"], t["lse"], t["k"], t["q"], t["w"], t["v"], t["offset"]);
    query_attention_backward(ctx, act, t["dk"], t["dq"], t["dw"], t["dv"], t["dc"], t["c"],
                             t["lse"], t["k"], t["q"], t["w"], t["v"], t["offset"]);
  });
  return c;
}

SEQRANK_OP_TEST(QueryAttention, MatchesReference) {
  for (Activation act : {Activation::tanh, Activation::relu}) {
    for (const Packing& packing : packings()) {
      OpCase c = query_case(device, {{packing, 4}, act, 3});
      c.input("w", {3}).added("dw").check();
    }
  }
}

SEQRANK_OP_TEST(QueryAttention, Widths) {
  for (Activation act : {Activation::tanh, Activation::relu}) {
    for (auto [keys, width] : {std::pair{1, 1}, {17, 2}, {2, 33}}) {
      OpCase c = query_case(device, {{Packing({2, 6}), width}, act, keys});
      c.input("w", {keys}).added("dw").check();
    }
  }
}

// Beyond a warp of keys, and of queries.
SEQRANK_OP_TEST(QueryAttention, Lengths) {
  OpCase c = query_case(device, {{Packing({2, 35}), 33}, Activation::tanh, 34});
  c.input("w", {34}).added("dw").check();
}

// Scores up to about 80. Their own rounding (80 x 2^-24 a term) shows in the weights.
SEQRANK_OP_TEST(QueryAttention, ExtremeScores) {
  for (Activation act : {Activation::tanh, Activation::relu}) {
    OpCase c = query_case(device, {{Packing({9, 1, 14}), 3}, act, 4});
    c.input_values("w", {4}, {40, -40, 17, 23}).added("dw").tolerance(1e-4).check();
  }
}

// One context, two sequences, for the tests that are not cases.
struct Example {
  explicit Example(Device device, int threads = 1) : ctx(device, threads) {
    set_values(ctx, offset, packing.offset);
    fill(score, 1, 3);
    fill(k, 2, 1);
    fill(q, 3, 1);
    fill(w, 4, 2);
    fill(v, 5, 1);
  }
  void run() {
    running_attention(ctx, running, max, sum, score, v, offset);
    query_attention(ctx, Activation::tanh, query, lse, k, q, w, v, offset);
  }
  void fill(Tensor& tensor, double phase, double scale) {
    Row values(tensor.numel());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = scale * std::sin(phase + 2.3 * i);
    set_values(ctx, tensor, values);
  }
  Tensor make(Shape shape) { return ctx.empty(DType::f32, shape); }

  Packing packing{{3, 7}};
  Context ctx;
  Tensor offset = ctx.empty(DType::i32, {3});
  Tensor score = make({10}), max = make({10}), sum = make({10}), lse = make({10});
  Tensor k = make({10, 4}), q = make({10, 4}), w = make({4});
  Tensor v = make({10, 5}), running = make({10, 5}), query = make({10, 5});
};

void expect_weights(Context& ctx, const Tensor& a_J, const Tensor& c_ND, const Tensor& v_ND,
                    std::int64_t first) {
  const Row a = get_values(ctx, a_J), c = get_values(ctx, c_ND), v = get_values(ctx, v_ND);
  const std::int64_t count = a_J.numel(), n = first + count - 1, width = v_ND.dim(1);
  double sum = 0;
  for (double weight : a) sum += weight;
  EXPECT_NEAR(sum, 1, 1e-6) << "event " << n;
  for (std::int64_t d = 0; d < width; ++d) {
    double mean = 0;
    for (std::int64_t j = 0; j < count; ++j) mean += a[j] * v[(first + j) * width + d];
    EXPECT_NEAR(mean, c[n * width + d], 1e-6) << "event " << n;
  }
}

// Dumped weights sum to one and give the context that forward wrote.
SEQRANK_OP_TEST(AttentionWeights, ReproduceTheContext) {
  Example e(device);
  e.run();
  for (auto [first, count] : {std::pair{0, 1}, {0, 3}, {3, 1}, {3, 4}, {3, 7}}) {
    Tensor a_J = e.make({count});
    running_attention_weights(e.ctx, a_J, e.max, e.sum, e.score, first);
    expect_weights(e.ctx, a_J, e.running, e.v, first);
    query_attention_weights(e.ctx, Activation::tanh, a_J, e.lse, e.k, e.q, e.w, first);
    expect_weights(e.ctx, a_J, e.query, e.v, first);
  }
}

// A changed event reaches itself and what follows it in its own sequence, and nothing else.
SEQRANK_OP_TEST(AdditiveAttention, IsCausal) {
  const std::int64_t changed = 5;  // of sequence 1: events 3..9
  Example plain(device), moved(device);
  plain.run();
  for (auto [tensor, columns] : {std::pair{&moved.score, 1}, {&moved.k, 4}, {&moved.v, 5}}) {
    Row values = get_values(moved.ctx, *tensor);
    values[changed * columns] += 0.5;
    set_values(moved.ctx, *tensor, values);
  }
  moved.run();
  const auto compare = [&](const Tensor& a, const Tensor& b) {
    const Row x = get_values(plain.ctx, a), y = get_values(moved.ctx, b);
    for (std::int64_t n = 0; n < 10; ++n) {
      EXPECT_EQ(std::equal(&x[n * 5], &x[n * 5] + 5, &y[n * 5]), n < changed) << "event " << n;
    }
  };
  compare(plain.running, moved.running);
  compare(plain.query, moved.query);
}

// The gradient of w is a sum over sequences, which threads share out.
TEST(QueryAttention, SameBitsAtAnyNumberOfThreads) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "OpenMP threads under ThreadSanitizer give false reports";
#endif
  Row one;
  for (int threads : {1, 2, 3}) {
    Example e(Device::cpu, threads);
    e.run();
    Tensor dk = e.make({10, 4}), dq = e.make({10, 4}), dw = e.make({4}), dv = e.make({10, 5});
    set_values(dw, Row(4, 0.0));
    query_attention_backward(e.ctx, Activation::tanh, dk, dq, dw, dv, e.v, e.query, e.lse, e.k, e.q,
                             e.w, e.v, e.offset);
    if (threads == 1) one = get_values(dw);
    EXPECT_EQ(get_values(dw), one) << threads << " threads";
  }
}

}  // namespace
}  // namespace seqrank
