// Losses over drawn negatives against the formulas of the header in double, with and without hits;
// worked examples; scores that overflow the formulas.
#include "backend/ops/sampled_loss.h"

#include <algorithm>
#include <cmath>

#include "backend/ops/activation.h"
#include "tests/support/op_case.h"

namespace seqrank {
namespace {

using Kind = SampledLoss;
constexpr Kind kKinds[] = {Kind::softmax, Kind::bce,  Kind::gbce,    Kind::bpr,
                           Kind::bpr_max, Kind::top1, Kind::top1_max};
constexpr float kScale = 0.125f;

struct Case {
  Kind kind;
  std::int64_t n, s;
  std::int64_t items;  // that targets and negatives are drawn from: few give many hits
  float temperature = 1;
  bool log_q = true;
};

SampledLossOptions options_of(const Case& c) {
  return {.kind = c.kind, .temperature = c.temperature, .beta = 0.3f, .regulariser = 0.7f};
}

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}
double slope(double x) {  // of sigmoid
  return sigmoid(x) * (1 - sigmoid(x));
}

// A row without its hits.
struct Row {
  double p = 0;
  std::vector<double> s;
  std::vector<std::size_t> place;  // in the row with hits
  double k() const { return static_cast<double>(s.size()); }
  std::vector<double> weights() const {
    std::vector<double> w;
    double sum = 0;
    for (double x : s) sum += std::exp(x);
    for (double x : s) w.push_back(std::exp(x) / sum);
    return w;
  }
};

Row row_of(const Case& c, Values& v, std::int64_t n) {
  Row row;
  row.p = v["positive"][n] / c.temperature;
  for (std::int64_t j = 0; j < c.s; ++j) {
    if (v["item"][j] == v["target"][n]) continue;
    const bool corrected = c.kind == Kind::softmax && c.log_q;
    row.s.push_back(v["negative"][n * c.s + j] / c.temperature - (corrected ? v["log_q"][j] : 0.0));
    row.place.push_back(j);
  }
  return row;
}

double loss_of(Kind kind, const Row& r) {
  const double beta = kind == Kind::gbce ? double{0.3f} : 1, regulariser = 0.7f;
  double loss = 0;
  switch (kind) {
    case Kind::softmax:
      loss = std::exp(r.p);
      for (double x : r.s) loss += std::exp(x);
      return std::log(loss) - r.p;
    case Kind::bce:
    case Kind::gbce:
      loss = -beta * std::log(sigmoid(r.p));
      for (double x : r.s) loss -= std::log(1 - sigmoid(x));
      return loss / (r.k() + 1);
    case Kind::bpr:
      for (double x : r.s) loss -= std::log(sigmoid(r.p - x)) / r.k();
      return loss;
    case Kind::top1:
      for (double x : r.s) loss += (sigmoid(x - r.p) + sigmoid(x * x)) / r.k();
      return loss;
    default:
      break;
  }
  if (r.s.empty()) return 0;
  const std::vector<double> w = r.weights();
  double right = 0, squares = 0;
  for (std::size_t j = 0; j < w.size(); ++j) {
    right += w[j] * sigmoid(r.p - r.s[j]);
    squares += w[j] * r.s[j] * r.s[j];
    loss += w[j] * (sigmoid(r.s[j] - r.p) + sigmoid(r.s[j] * r.s[j]));
  }
  return kind == Kind::bpr_max ? -std::log(right) + regulariser * squares : loss;
}

struct Gradient {
  double p = 0;
  std::vector<double> s;
};

// Of sum_j w_j f_j, given f and its derivatives: w is a softmax of s.
void add_weighted(Gradient& g, const std::vector<double>& w, const std::vector<double>& f,
                  const std::vector<double>& df_ds, const std::vector<double>& df_dp,
                  double times) {
  double mean = 0;
  for (std::size_t j = 0; j < w.size(); ++j) mean += w[j] * f[j];
  for (std::size_t j = 0; j < w.size(); ++j) {
    g.s[j] += times * w[j] * (f[j] - mean + df_ds[j]);
    g.p += times * w[j] * df_dp[j];
  }
}

Gradient gradient_of(Kind kind, const Row& r) {
  const double beta = kind == Kind::gbce ? double{0.3f} : 1, regulariser = 0.7f, k = r.k();
  Gradient g{0, std::vector<double>(r.s.size())};
  std::vector<double> f, df_ds, df_dp, square, dsquare;
  double total = std::exp(r.p), right = 0;
  for (double x : r.s) total += std::exp(x);
  const std::vector<double> w = r.weights();
  if (kind == Kind::softmax) g.p = std::exp(r.p) / total - 1;
  if (kind == Kind::bce || kind == Kind::gbce) g.p = -beta * sigmoid(-r.p) / (k + 1);
  for (std::size_t j = 0; j < r.s.size(); ++j) {
    const double x = r.s[j], wrong = sigmoid(x - r.p);
    right += w[j] * sigmoid(r.p - x);
    if (kind == Kind::softmax) g.s[j] = std::exp(x) / total;
    if (kind == Kind::bce || kind == Kind::gbce) g.s[j] = sigmoid(x) / (k + 1);
    if (kind == Kind::bpr) g.s[j] = wrong / k;
    if (kind == Kind::top1) g.s[j] = (slope(x - r.p) + 2 * x * slope(x * x)) / k;
    if (kind == Kind::bpr) g.p -= wrong / k;
    if (kind == Kind::top1) g.p -= slope(x - r.p) / k;
    const bool top1 = kind == Kind::top1_max;
    f.push_back(top1 ? wrong + sigmoid(x * x) : sigmoid(r.p - x));
    df_ds.push_back(top1 ? slope(x - r.p) + 2 * x * slope(x * x) : -slope(r.p - x));
    df_dp.push_back(top1 ? -slope(x - r.p) : slope(r.p - x));
    square.push_back(x * x);
    dsquare.push_back(2 * x);
  }
  const std::vector<double> zeros(r.s.size());
  if (kind == Kind::top1_max) add_weighted(g, w, f, df_ds, df_dp, 1);
  if (kind == Kind::bpr_max) {
    add_weighted(g, w, f, df_ds, df_dp, -1 / right);
    add_weighted(g, w, square, dsquare, zeros, regulariser);
  }
  return g;
}

void check(const Case& c, Device device) {
  OpCase op(fmt::format("kind {} N={} S={} items={}", static_cast<int>(c.kind), c.n, c.s, c.items),
            device);
  op.input("positive", {c.n}, -2, 2).input("negative", {c.n, c.s}, -2, 2);
  op.integers("target", {c.n}, c.items).integers("item", {c.s}, c.items);
  op.constant("log_q", {c.s}, -1, 1).loss("loss");
  op.reference([=](Values& v) {
    for (std::int64_t n = 0; n < c.n; ++n)
      v["loss"][0] += kScale * loss_of(c.kind, row_of(c, v, n));
  });
  op.reference_backward([=](Values& v) {
    for (std::int64_t n = 0; n < c.n; ++n) {
      const Row row = row_of(c, v, n);
      const Gradient g = gradient_of(c.kind, row);
      v["dpositive"][n] += kScale / c.temperature * g.p;
      for (std::size_t i = 0; i < g.s.size(); ++i)
        v["dnegative"][n * c.s + row.place[i]] += kScale / c.temperature * g.s[i];
    }
  });
  op.run("plain", [=](Context& ctx, Tensors& t) {
    sampled_loss(ctx, t["loss"], t["dpositive"], t["dnegative"], t["positive"], t["negative"],
                 t["target"], t["item"], c.log_q ? t["log_q"] : none, kScale, options_of(c));
  });
  op.run("in place", [=](Context& ctx, Tensors& t) {
    copy(ctx, t["dpositive"], t["positive"]);
    copy(ctx, t["dnegative"], t["negative"]);
    sampled_loss(ctx, t["loss"], t["dpositive"], t["dnegative"], t["dpositive"], t["dnegative"],
                 t["target"], t["item"], c.log_q ? t["log_q"] : none, kScale, options_of(c));
  });
  op.check();
}

SEQRANK_OP_TEST(SampledLoss, MatchesReference) {
  for (Kind kind : kKinds)
    for (const Case& c :
         {Case{kind, 0, 4, 9}, Case{kind, 1, 1, 1000}, Case{kind, 7, 5, 4}, Case{kind, 5, 3, 1},
          Case{kind, 4, 0, 3}, Case{kind, 3, 33, 50, 0.5f}, Case{kind, 6, 17, 20, 2, false}})
      check(c, device);
}

// More negatives than a block has threads, than one logarithm takes factors; several pieces.
SEQRANK_OP_TEST(SampledLoss, JoinsPieces) {
  for (Kind kind : kKinds) check({kind, 17, 1100, 300}, device);
}

struct Result {
  double loss;
  std::vector<double> gradient;  // positive, then negatives
};

Result run(Device device, SampledLossOptions options, double positive,
           const std::vector<double>& negative, const std::vector<double>& log_q = {},
           double loss_scale = 1) {
  Context ctx(device, 1);
  const auto s = static_cast<std::int64_t>(negative.size());
  const auto tensor = [&](DType type, Shape shape, const std::vector<double>& values) {
    Tensor x = ctx.empty(type, shape);
    set_values(ctx, x, values);
    return x;
  };
  Tensor loss = tensor(DType::f64, {1}, {0});
  Tensor dpositive = ctx.empty(DType::f32, {1}), dnegative = ctx.empty(DType::f32, {1, s});
  options.loss_scale_1 = tensor(DType::f32, {1}, {loss_scale});
  std::vector<double> items(s);
  for (std::int64_t j = 0; j < s; ++j) items[j] = static_cast<double>(j);
  sampled_loss(ctx, loss, dpositive, dnegative, tensor(DType::f32, {1}, {positive}),
               tensor(DType::f32, {1, s}, negative), tensor(DType::i32, {1}, {100}),
               tensor(DType::i32, {s}, items),
               log_q.empty() ? Tensor() : tensor(DType::f32, {s}, log_q), 1, options);
  std::vector<double> gradient = get_values(ctx, dpositive);
  for (double g : get_values(ctx, dnegative)) gradient.push_back(g);
  return {get_values(ctx, loss)[0], gradient};
}

// One event: its item scores 1, the negatives 1/2, -1 and 2; they are expected 2, 1 and 1/2 times
// among the draws. Of the softmax, for instance:
//   log(e + e^.5 / 2 + e^-1 + 2 e^2) - 1 = log(2.7183 + 0.8244 + 0.3679 + 14.7781) - 1
SEQRANK_OP_TEST(SampledLoss, WorkedExamples) {
  const std::vector<std::pair<Kind, double>> wanted = {
      {Kind::softmax, 1.927915537}, {Kind::bce, 0.931882093},     {Kind::gbce, 0.873145526},
      {Kind::bpr, 0.638088894},     {Kind::bpr_max, 2.648747235}, {Kind::top1, 1.167683680},
      {Kind::top1_max, 1.543763879}};
  for (auto [kind, want] : wanted) {
    const SampledLossOptions options{.kind = kind, .beta = 0.25f, .regulariser = 0.5f};
    const Result r = run(device, options, 1, {0.5, -1, 2}, {std::log(2.0), 0, std::log(0.5)});
    EXPECT_NEAR(r.loss, want, 2e-6) << static_cast<int>(kind);
  }
}

// Scores of +-200, whose e^x no float has.
SEQRANK_OP_TEST(SampledLoss, LargeScoresAreStable) {
  const auto check = [&](Kind kind, double positive, std::vector<double> negative, double loss,
                         std::vector<double> gradient) {
    const Result r = run(device, {.kind = kind}, positive, negative);
    EXPECT_NEAR(r.loss, loss, 1e-4) << static_cast<int>(kind);
    for (std::size_t i = 0; i < gradient.size(); ++i)
      EXPECT_NEAR(r.gradient[i], gradient[i], 1e-6) << static_cast<int>(kind) << " " << i;
  };
  check(Kind::softmax, -200, {200, -200}, 400, {-1, 1, 0});
  check(Kind::softmax, 200, {-200, -200}, 0, {0, 0, 0});
  check(Kind::bce, -200, {200, -200}, 400.0 / 3, {-1.0 / 3, 1.0 / 3, 0});
  check(Kind::bpr, -200, {200, -200}, 400.0 / 2 + std::log(2) / 2, {-0.75, 0.5, 0.25});
  // Both negatives are wrong with certainty and weigh the same: -log s(-400) = 400.
  check(Kind::bpr_max, -200, {200, 200}, 400, {-1, 0.5, 0.5});
  check(Kind::bpr_max, 200, {-200, -200}, 0, {0, 0, 0});
  check(Kind::top1, -200, {200, 200}, 2, {0, 0, 0});
  check(Kind::top1_max, 200, {-200, 0}, 0.5, {0, 0, 0});
}

SEQRANK_OP_TEST(SampledLoss, NanReachesTheLossAndALossScaleTheGradients) {
  for (Kind kind : kKinds) {
    EXPECT_TRUE(std::isnan(run(device, {.kind = kind}, 0, {1, NAN}).loss));
    EXPECT_TRUE(std::isnan(run(device, {.kind = kind}, NAN, {1, 2}).loss));
    const Result plain = run(device, {.kind = kind}, 0.5, {1, 0.25});
    const Result times = run(device, {.kind = kind}, 0.5, {1, 0.25}, {}, 64);
    EXPECT_EQ(plain.loss, times.loss);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(64 * plain.gradient[i], times.gradient[i]);
  }
}

// Scores are replaced where the lists say, and are then as if they were not there.
SEQRANK_OP_TEST(SampledLoss, LeavesOutWhatListsSay) {
  Context ctx(device, 1);
  const auto tensor = [&](DType type, Shape shape, const std::vector<double>& values) {
    Tensor x = ctx.empty(type, shape);
    set_values(ctx, x, values);
    return x;
  };
  Tensor score_NS = tensor(DType::f32, {3, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  const double out = kHitScore;
  leave_out_negatives(ctx, score_NS, tensor(DType::i32, {3}, {2, 0, 0}),
                      tensor(DType::i32, {4}, {0, 2, 2, 3}), tensor(DType::i32, {3}, {3, 1, 0}));
  EXPECT_EQ(get_values(ctx, score_NS),
            (std::vector<double>{out, 2, 3, 4, 5, out, 7, out, 9, out, 11, out}));
  leave_out_negatives(ctx, score_NS, tensor(DType::i32, {3}, {0, 0, 0}),
                      tensor(DType::i32, {2}, {0, 0}), ctx.empty(DType::i32, {0}));
  EXPECT_EQ(get_values(ctx, score_NS)[1], 2);
  for (Kind kind : kKinds) {
    const SampledLossOptions options{.kind = kind, .temperature = 0.5f, .regulariser = 0.7f};
    const Result fewer = run(device, options, 0.5, {1, 0.25}, {0.1, -0.2});
    const Result with = run(device, options, 0.5, {out, 1, out, 0.25}, {3, 0.1, 2, -0.2});
    EXPECT_NEAR(with.loss, fewer.loss, 1e-6) << static_cast<int>(kind);
    const double want[] = {fewer.gradient[0], 0, fewer.gradient[1], 0, fewer.gradient[2]};
    for (int i = 0; i < 5; ++i) EXPECT_NEAR(with.gradient[i], want[i], 1e-6) << i;
  }
}

// t = 0 is bce; t = 1 makes beta the sampling rate.
TEST(SampledLoss, BetaOfGbce) {
  EXPECT_DOUBLE_EQ(gbce_beta(256, 3416, 0), 1);
  EXPECT_DOUBLE_EQ(gbce_beta(256, 3416, 1), 256.0 / 3415);
  const double alpha = 256.0 / 3415;
  EXPECT_DOUBLE_EQ(gbce_beta(256, 3416, 0.75), alpha * (0.75 * (1 - 1 / alpha) + 1 / alpha));
  EXPECT_NEAR(gbce_beta(256, 3416, 0.75), 0.25 + 0.75 * alpha, 1e-12);
}

}  // namespace
}  // namespace seqrank
