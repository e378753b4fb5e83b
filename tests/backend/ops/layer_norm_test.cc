// Layer normalisation and its gradients.
#include "backend/ops/layer_norm.h"

#include <cmath>

#include "tests/support/op_case.h"

namespace seqrank {
namespace {

constexpr double kEps = 1e-5f;
// No rows of two: their dx is all cancellation, and says nothing of the code.
constexpr std::int64_t kSizes[][2] = {{1, 1}, {3, 3}, {5, 7}, {60, 64}, {140, 33}, {0, 8}};

void reference(Values& v, std::int64_t n, std::int64_t d) {
  const auto &x = v["x"], &gain = v["gain"], &bias = v["bias"];
  auto& y = v["y"];
  for (std::int64_t i = 0; i < n; ++i) {
    double mean = 0, var = 0;
    for (std::int64_t j = 0; j < d; ++j) mean += x[i * d + j] / d;
    for (std::int64_t j = 0; j < d; ++j) var += (x[i * d + j] - mean) * (x[i * d + j] - mean) / d;
    const double rstd = 1 / std::sqrt(var + kEps);
    v["mean"][i] = mean;
    v["rstd"][i] = rstd;
    for (std::int64_t j = 0; j < d; ++j)
      y[i * d + j] = (x[i * d + j] - mean) * rstd * gain[j] + bias[j];
  }
}

void reference_backward(Values& v, std::int64_t n, std::int64_t d) {
  const auto &x = v["x"], &gain = v["gain"], &dy = v["dy"];
  auto &dx = v["dx"], &dgain = v["dgain"], &dbias = v["dbias"];
  for (std::int64_t i = 0; i < n; ++i) {
    const double mean = v["mean"][i], rstd = v["rstd"][i];
    double mean_g = 0, mean_dot = 0;
    for (std::int64_t j = 0; j < d; ++j) {
      const double normal = (x[i * d + j] - mean) * rstd;
      dgain[j] += dy[i * d + j] * normal;
      dbias[j] += dy[i * d + j];
      mean_g += dy[i * d + j] * gain[j] / d;
      mean_dot += dy[i * d + j] * gain[j] * normal / d;
    }
    for (std::int64_t j = 0; j < d; ++j) {
      const double normal = (x[i * d + j] - mean) * rstd;
      dx[i * d + j] = rstd * (dy[i * d + j] * gain[j] - mean_g - normal * mean_dot);
    }
  }
}

SEQRANK_OP_TEST(LayerNorm, MatchesReference) {
  for (const auto& size : kSizes) {
    const std::int64_t n = size[0], d = size[1];
    OpCase c(fmt::format("n={} d={}", n, d), device);
    c.input("x", {n, d}, -1, 3).input("gain", {d}, 0.5, 2).input("bias", {d});
    c.output("y", {n, d}).side_output("mean", {n}).side_output("rstd", {n});
    c.added("dgain").added("dbias");
    c.reference([=](Values& v) { reference(v, n, d); });
    c.reference_backward([=](Values& v) { reference_backward(v, n, d); });
    c.run("layer_norm", [](Context& ctx, Tensors& t) {
      layer_norm(ctx, t["y"], t["mean"], t["rstd"], t["x"], t["gain"], t["bias"],
                 static_cast<float>(kEps));
      layer_norm_backward(ctx, t["dx"], t["dgain"], t["dbias"], t["dy"], t["x"], t["mean"],
                          t["rstd"], t["gain"]);
    });
    c.check();
  }
}

}  // namespace
}  // namespace seqrank
