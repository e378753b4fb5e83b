// Multi-head attention against its definition, written out over all pairs of events in doubles.
#include "backend/ops/attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "backend/philox.h"
#include "tests/backend/ops/packing.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

using Row = std::vector<double>;

struct Sizes {
  Packing packing;
  std::int64_t heads = 1, width = 8;
  AttentionMask mask = AttentionMask::causal;
  std::int64_t distances = 0, times = 0;  // 0: no such bias
  DropoutKey dropout = {};

  float scale() const { return 1 / std::sqrt(static_cast<float>(width)); }
  double place(std::int64_t b) const { return 5e9 + 7.0 * b; }  // beyond 32 bits
  std::string text() const {
    std::string lengths;
    for (std::int64_t length : packing.lengths) lengths += fmt::format(" {}", length);
    return fmt::format("{} H={} K={} R={} T={} rate={} lengths{}",
                       mask == AttentionMask::causal ? "causal" : "bidirectional", heads, width,
                       distances, times, dropout.rate, lengths);
  }
};

// One query: event n = first + i, of head h of sequence b. What it sees, straight from the header.
struct Query {
  const Sizes& sizes;
  Values& v;
  std::int64_t b, first, i, h;

  std::int64_t keys() const {
    return sizes.mask == AttentionMask::causal ? i + 1 : sizes.packing.lengths[b];
  }
  std::int64_t at(std::int64_t j) const { return ((first + j) * sizes.heads + h) * sizes.width; }
  std::int64_t lse_at() const { return (first + i) * sizes.heads + h; }
  std::int64_t position_at(std::int64_t j) const {
    const std::int64_t r = sizes.distances, centre = (r - 1) / 2;
    const std::int64_t bucket = sizes.mask == AttentionMask::causal
                                    ? std::min(i - j, r - 1)
                                    : std::min(std::max(i - j, -centre), centre) + centre;
    return h * r + bucket;
  }
  std::int64_t time_at(std::int64_t j) const {
    const double apart = std::fabs(v["time"][first + i] - v["time"][first + j]);
    const auto bucket = static_cast<std::int64_t>(std::floor(std::log2(1 + apart)));
    return h * sizes.times + std::min(bucket, sizes.times - 1);
  }
  double factor(std::int64_t j) const {
    if (sizes.dropout.rate == 0) return 1;
    const auto place = static_cast<std::uint64_t>(sizes.place(b));
    const Philox4 words =
        philox(sizes.dropout.seed, Purpose::attention_dropout,
               {static_cast<std::uint32_t>(place), static_cast<std::uint32_t>(place >> 32),
                static_cast<std::uint32_t>(i),
                sizes.dropout.layer << 24 | static_cast<std::uint32_t>(h) << 16 |
                    static_cast<std::uint32_t>(j / 4)});
    return uniform_float(words[j % 4]) >= sizes.dropout.rate ? 1 / (1 - double{sizes.dropout.rate})
                                                             : 0;
  }
  double dot(const Row& x, std::int64_t x_at, const Row& y, std::int64_t y_at) const {
    double sum = 0;
    for (std::int64_t d = 0; d < sizes.width; ++d) sum += x[x_at + d] * y[y_at + d];
    return sum;
  }

  // Scores to softmax in place; returns the log of the sum of exp.
  double probabilities(Row& p) const {
    p.resize(keys());
    const Row &q = v["q"], &k = v["k"];
    double max = -1e300, sum = 0;
    for (std::int64_t j = 0; j < keys(); ++j) {
      p[j] = sizes.scale() * dot(q, at(i), k, at(j));
      if (sizes.distances > 0) p[j] += v["position"][position_at(j)];
      if (sizes.times > 0) p[j] += v["time_table"][time_at(j)];
      max = std::max(max, p[j]);
    }
    for (double& s : p) sum += s = std::exp(s - max);
    for (double& s : p) s /= sum;
    return max + std::log(sum);
  }
  void forward() const {
    Row p;
    v["lse"][lse_at()] = probabilities(p);
    const Row& value = v["v"];
    Row& o = v["o"];
    for (std::int64_t j = 0; j < keys(); ++j) {
      const double weight = factor(j) * p[j];
      for (std::int64_t d = 0; d < sizes.width; ++d) o[at(i) + d] += weight * value[at(j) + d];
    }
  }
  void backward() const {
    const Row &q = v["q"], &k = v["k"], &value = v["v"], &dout = v["do"];
    Row &dq = v["dq"], &dk = v["dk"], &dv = v["dv"], p, dp(keys());
    probabilities(p);
    double mean = 0;
    for (std::int64_t j = 0; j < keys(); ++j) {
      dp[j] = factor(j) * dot(dout, at(i), value, at(j));
      mean += p[j] * dp[j];
    }
    for (std::int64_t j = 0; j < keys(); ++j) {
      const double weight = factor(j) * p[j], ds = p[j] * (dp[j] - mean);
      for (std::int64_t d = 0; d < sizes.width; ++d) {
        dv[at(j) + d] += weight * dout[at(i) + d];
        dq[at(i) + d] += sizes.scale() * ds * k[at(j) + d];
        dk[at(j) + d] += sizes.scale() * ds * q[at(i) + d];
      }
      if (sizes.distances > 0) v["dposition"][position_at(j)] += ds;
      if (sizes.times > 0) v["dtime_table"][time_at(j)] += ds;
    }
  }
};

template <class F>
void each_query(const Sizes& sizes, Values& v, F f) {
  for (std::int64_t b = 0; b < sizes.packing.sequences(); ++b)
    for (std::int64_t i = 0; i < sizes.packing.lengths[b]; ++i)
      for (std::int64_t h = 0; h < sizes.heads; ++h)
        f(Query{sizes, v, b, static_cast<std::int64_t>(sizes.packing.offset[b]), i, h});
}

// Seconds to months between events, both signs, sometimes none.
Row times(std::int64_t events) {
  Row values(events);
  for (std::int64_t n = 0; n < events; ++n)
    values[n] = 1.6e9 + (n % 5 == 1 ? values[n - 1] - 1.6e9
                                    : std::floor(std::exp2(22 * std::fabs(std::sin(1.7 * n)))));
  return values;
}

AttentionOptions options_of(const Sizes& sizes) {
  std::int64_t longest = 0;
  for (std::int64_t length : sizes.packing.lengths) longest = std::max(longest, length);
  // A bound, not the length itself: there are tiles without events.
  return {sizes.mask, sizes.scale(), longest + 70, sizes.dropout};
}

OpCase make_case(Device device, const Sizes& sizes, double range = 1) {
  const std::int64_t n = sizes.packing.events(), h = sizes.heads, width = sizes.width;
  const std::int64_t sequences = sizes.packing.sequences();
  OpCase c(sizes.text(), device);
  c.input("q", {n, h, width}, -range, range).input("k", {n, h, width}, -range, range);
  c.input("v", {n, h, width});
  c.constant_values("offset", {sequences + 1}, DType::i32, sizes.packing.offset);
  Row place;
  for (std::int64_t b = 0; b < sequences; ++b) place.push_back(sizes.place(b));
  c.constant_values("place", {sequences}, DType::i64, place);
  c.constant_values("time", {n}, DType::i64, times(n));
  if (sizes.distances > 0) c.input("position", {h, sizes.distances}).added("dposition");
  if (sizes.times > 0) c.input("time_table", {h, sizes.times}).added("dtime_table");
  c.output("o", {n, h, width}).side_output("lse", {n, h});
  c.reference([=](Values& v) { each_query(sizes, v, [](const Query& q) { q.forward(); }); });
  c.reference_backward(
      [=](Values& v) { each_query(sizes, v, [](const Query& q) { q.backward(); }); });
  return c;
}

void run_both(Context& ctx, Tensors& t, const Sizes& sizes) {
  const AttentionOptions options = options_of(sizes);
  AttentionBias bias;
  Tensor none_position, none_time;
  Tensor &dposition = sizes.distances > 0 ? t["dposition"] : none_position,
         &dtime = sizes.times > 0 ? t["dtime_table"] : none_time;
  if (sizes.distances > 0) bias.position_HR = t["position"];
  if (sizes.times > 0) bias.time_HT = t["time_table"], bias.time_N = t["time"];
  multi_head_attention(ctx, options, t["o"], t["lse"], t["q"], t["k"], t["v"], bias, t["place"],
                       t["offset"]);
  multi_head_attention_backward(ctx, options, t["dq"], t["dk"], t["dv"], dposition, dtime, t["do"],
                                t["o"], t["lse"], t["q"], t["k"], t["v"], bias, t["place"],
                                t["offset"]);
}

void check(Device device, const Sizes& sizes) {
  OpCase c = make_case(device, sizes);
  c.run("both", [=](Context& ctx, Tensors& t) { run_both(ctx, t, sizes); });
  c.check();
}

constexpr AttentionMask kMasks[] = {AttentionMask::causal, AttentionMask::bidirectional};
constexpr DropoutKey kDropout = {0x123456789ABCDEFull, 3, 0.3f};

SEQRANK_OP_TEST(MultiHeadAttention, MatchesReference) {
  for (AttentionMask mask : kMasks)
    for (const Packing& packing : packings()) check(device, {packing, 2, 8, mask});
}

SEQRANK_OP_TEST(MultiHeadAttention, Widths) {
  for (AttentionMask mask : kMasks)
    for (std::int64_t width : {16, 24, 32, 64, 72, 128})
      check(device, {Packing({3, 1, 18}), 1, width, mask});
}

TEST(MultiHeadAttention, OddWidthsOnTheCpu) {
  for (std::int64_t width : {1, 2, 5, 33, 130}) check(Device::cpu, {Packing({3, 1, 6}), 3, width});
}

// Around the edges of tiles, and several of them.
SEQRANK_OP_TEST(MultiHeadAttention, Lengths) {
  for (AttentionMask mask : kMasks)
    for (const auto& lengths : std::vector<std::vector<std::int64_t>>{
             {15, 16, 17}, {31, 0, 33}, {63, 64, 65}, {129, 2}, {200}})
      check(device, {Packing(lengths), 1, 16, mask});
}

// One, few and more buckets than there are distances, inside a tile and across several.
SEQRANK_OP_TEST(MultiHeadAttention, Bias) {
  const Packing small({0, 1, 7, 14}), large({66});
  for (AttentionMask mask : kMasks) {
    for (auto [distances, times] : {std::pair{5, 0}, {0, 12}, {1, 1}, {63, 32}})
      check(device, {small, 2, 8, mask, distances, times});
    check(device, {large, 1, 8, mask, 21, 20});
  }
}

SEQRANK_OP_TEST(MultiHeadAttention, Dropout) {
  for (AttentionMask mask : kMasks)
    check(device, {Packing({0, 1, 7, 70}), 3, 8, mask, 0, 0, kDropout});
}

SEQRANK_OP_TEST(MultiHeadAttention, Everything) {
  for (AttentionMask mask : kMasks)
    check(device, {Packing({0, 36, 5}), 2, 24, mask, 33, 17, kDropout});
}

// Scores up to about 100. Their own rounding (100 x 2^-24 a term) shows in the probabilities.
SEQRANK_OP_TEST(MultiHeadAttention, ExtremeScores) {
  for (AttentionMask mask : kMasks) {
    const Sizes sizes{Packing({9, 1, 40}), 1, 16, mask};
    OpCase c = make_case(device, sizes, 8);
    c.run("both", [=](Context& ctx, Tensors& t) { run_both(ctx, t, sizes); });
    c.tolerance(1e-4).check();
  }
}

// Products in 16 bits, of operands of f32 and of that type. The tolerance is about four roundings
// of the type, since a result sums over probabilities that were rounded as well.
struct Kind {
  Precision precision;
  DType type;
  double tolerance;
};
constexpr Kind kKinds[] = {{Precision::bf16, DType::bf16, 3e-2},
                           {Precision::fp16, DType::f16, 4e-3}};

// With operands of `type`, made of the case's and copied back.
void run_as(Context& ctx, Tensors& t, const Sizes& sizes, DType type) {
  Tensors narrow = t;
  for (const char* name : {"q", "k", "v", "do", "o", "dq", "dk", "dv"}) {
    Tensor tensor = ctx.empty(type, t[name].shape());
    set_values(ctx, tensor, get_values(ctx, t[name]));
    narrow.set(name, tensor);
  }
  run_both(ctx, narrow, sizes);
  for (const char* name : {"o", "dq", "dk", "dv"})
    set_values(ctx, t[name], get_values(ctx, narrow[name]));
}

void check_kinds(Device device, const Sizes& sizes) {
  for (const Kind& kind : kKinds) {
    if (device == Device::cpu && kind.precision == Precision::fp16) continue;  // refused there
    OpCase c = make_case(device, sizes);
    c.run("of f32", [=](Context& ctx, Tensors& t) {
      const std::string note = ctx.set_precision(kind.precision);
      run_both(ctx, t, sizes);
    });
    if (device == Device::cuda)
      c.run("of 16 bits", [=](Context& ctx, Tensors& t) { run_as(ctx, t, sizes, kind.type); });
    c.tolerance(kind.tolerance).check();
  }
}

// Sequences so short that half a tile holds one, and around the edges of tiles.
SEQRANK_OP_TEST(MultiHeadAttention, SixteenBits) {
  for (AttentionMask mask : kMasks) {
    for (std::int64_t width : {8, 32, 64, 128})
      check_kinds(device, {Packing({3, 0, 1, 37, 19}), 1, width, mask});
    for (std::int64_t width : {16, 24, 64, 72})
      check_kinds(device, {Packing({65, 0, 100}), 1, width, mask});
  }
}

SEQRANK_OP_TEST(MultiHeadAttention, SixteenBitsWithEverything) {
  for (std::int64_t width : {16, 64})
    for (AttentionMask mask : kMasks)
      check_kinds(device, {Packing({0, 66}), 1, width, mask, 15, 20, kDropout});
  for (std::int64_t width : {32, 128})
    check_kinds(device, {Packing({19, 2}), 2, width, AttentionMask::causal, 3, 20, kDropout});
  for (AttentionMask mask : kMasks) check_kinds(device, {Packing({65}), 1, 8, mask, 101, 0});
}

// The tables' gradients are sums over sequences, which threads share out.
TEST(MultiHeadAttention, SameBitsAtAnyNumberOfThreads) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "OpenMP threads under ThreadSanitizer give false reports";
#endif
  const Sizes sizes{Packing({40, 3, 70, 21}), 2, 8, AttentionMask::causal, 9, 8};
  std::vector<Row> one;
  for (int threads : {1, 2, 3}) {
    Context ctx(Device::cpu, threads);
    Tensors t;
    const auto make = [&](const char* name, DType type, Shape shape, double phase) {
      Tensor tensor = ctx.empty(type, shape);
      Row values(tensor.numel());
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(phase + 2.3 * i);
      set_values(tensor, values);
      t.set(name, tensor);
    };
    const std::int64_t n = sizes.packing.events();
    for (const char* name : {"q", "k", "v", "do", "o", "dq", "dk", "dv"})
      make(name, DType::f32, {n, 2, sizes.width}, name[0]);
    make("lse", DType::f32, {n, 2}, 0);
    make("position", DType::f32, {2, 9}, 1);
    make("dposition", DType::f32, {2, 9}, 2);
    make("time_table", DType::f32, {2, 8}, 3);
    make("dtime_table", DType::f32, {2, 8}, 4);
    make("place", DType::i64, {4}, 5);
    make("time", DType::i64, {n}, 6);
    set_values(t["time"], times(n));
    make("offset", DType::i32, {5}, 7);
    set_values(t["offset"], sizes.packing.offset);
    run_both(ctx, t, sizes);
    std::vector<Row> results;
    for (const char* name : {"o", "lse", "dq", "dk", "dv", "dposition", "dtime_table"})
      results.push_back(get_values(t[name]));
    if (threads == 1) one = results;
    EXPECT_EQ(results, one) << threads << " threads";
  }
}

}  // namespace
}  // namespace seqrank
