// One operator, one set of shapes: inputs stated once, a plain double reference, and the operator
// itself, compared on a device. Does not know any operator, and times nothing.
//
//   SEQRANK_OP_TEST(Linear, MatchesReference) {        // makes Linear.MatchesReference_cpu and
//     for (auto [n, k, m] : sizes) {                   // _cuda (skipped, with the reason, where
//       OpCase c(fmt::format("n={}", n), device);      // there is none); `device` is in scope
//       c.input("x", {n, k}).input("w", {m, k});       // f32, seeded values, differentiable
//       c.output("y", {n, m});                         // f32; the seeded "dy" comes with it
//       c.added("dw");                                 // results that are added to, not written
//       c.reference([=](Values& v) { v["y"][i] = ...; });             // doubles, row-major
//       c.reference_backward([=](Values& v) { v["dx"][i] += v["dy"][j] * ...; });
//       c.run("plain", [](Context& ctx, Tensors& t) {
//         linear(ctx, t["y"], t["x"], t["w"], none);
//         linear_backward(ctx, t["dx"], t["dw"], none, t["dy"], t["x"], t["w"]);
//       });
//       c.check();
//     }
//   }
//
// The gradient of "x" is called "dx" everywhere. In the reference every output and gradient starts
// as zeros. For a run, written results start as NaN and added ones from seeded non-zero values
// that are expected to be still in the sum. Several run() calls, say one with y aliasing x, are all
// compared. check() reports through GoogleTest:
//   1. reference_backward against central differences of sum(dy * y) by reference: 1e-7 of the
//      largest gradient of that tensor (at most 64 elements of each input are tried, fewer of large
//      ones);
//   2. every run, with 1 and 2 threads, every output and gradient: 1e-5 of the largest value.
// Where a tensor is tiny throughout, "largest" is taken as 0.1. Threads: 1 alone under TSan.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "backend/context.h"
#include "tests/support/tensor_values.h"

namespace seqrank {

template <class T>
class Named {  // by name; an unknown name fails loudly
 public:
  T& operator[](std::string_view name) {
    auto found = entries_.find(name);
    SR_CHECK(found != entries_.end(), ErrorKind::usage, "the case has no tensor \"{}\"", name);
    return found->second;
  }
  void set(const std::string& name, T value) { entries_[name] = std::move(value); }

 private:
  std::map<std::string, T, std::less<>> entries_;
};

// Every input, output, gradient, as doubles; integer inputs as well (they are exact).
using Values = Named<std::vector<double>>;
using Tensors = Named<Tensor>;

class OpCase {
 public:
  using Reference = std::function<void(Values&)>;
  using Run = std::function<void(Context&, Tensors&)>;

  OpCase(std::string name, Device device, std::uint64_t seed = 1);

  // Seeded, uniform in [low, high), representable in f32. input(): differentiable.
  OpCase& input(const std::string& name, Shape shape, double low = -1, double high = 1);
  OpCase& constant(const std::string& name, Shape shape, double low = -1, double high = 1);
  // Given values: of type f32 (differentiable or not), i32 or i64.
  OpCase& input_values(const std::string& name, Shape shape, std::vector<double> values);
  OpCase& constant_values(const std::string& name, Shape shape, DType type,
                          std::vector<double> values);
  // Seeded integers in [0, below).
  OpCase& integers(const std::string& name, Shape shape, std::int64_t below,
                   DType type = DType::i32);

  OpCase& output(const std::string& name, Shape shape);
  // Compared, but nothing flows back from it (statistics, log-sum-exp).
  OpCase& side_output(const std::string& name, Shape shape, DType type = DType::f32);
  // A scalar whose gradient is 1: "dloss" does not exist. Added to; f64.
  OpCase& loss(const std::string& name);
  // This output or gradient is added to. Input "x" must have been stated before "dx".
  OpCase& added(const std::string& name);

  OpCase& reference(Reference forward);
  OpCase& reference_backward(Reference backward);
  OpCase& run(const std::string& label, Run run);
  // Instead of 1e-5; say why where it is called.
  OpCase& tolerance(double relative);

  void check();

 private:
  enum class Role { constant, differentiable, output, side, loss };
  struct Entry {
    std::string name;
    Shape shape;
    DType type;
    Role role;
    std::vector<double> values;  // inputs
  };
  std::vector<double> draw(std::int64_t n, double low, double high);
  OpCase& add_entry(Entry entry);
  Values start_values() const;
  double objective(const Values& inputs);
  Values reference_result();
  void check_differences();
  void check_run(const std::string& label, const Run& run, int threads);
  void make_tensors(Context& ctx, Tensors& tensors);
  void compare(Context& ctx, const std::string& where, const std::string& name, const Tensor& got,
               const std::vector<double>& want);
  bool is_added(const std::string& name) const;

  std::string name_;
  Device device_;
  std::uint64_t seed_;
  std::uint32_t drawn_ = 0;
  double tolerance_ = 1e-5;
  std::vector<Entry> entries_;
  std::map<std::string, std::vector<double>> upstream_;  // by output name
  std::map<std::string, std::vector<double>> added_;     // starting values
  Reference forward_, backward_;
  std::vector<std::pair<std::string, Run>> runs_;
};

// Absent operand; not const, since results may be absent too.
inline Tensor none;

// "" where the device can be used, else why not.
std::string why_no_device(Device device);

}  // namespace seqrank

#define SEQRANK_OP_TEST(suite, name)                                           \
  static void suite##_##name([[maybe_unused]] ::seqrank::Device device);       \
  TEST(suite, name##_cpu) {                                                    \
    suite##_##name(::seqrank::Device::cpu);                                    \
  }                                                                            \
  TEST(suite, name##_cuda) {                                                   \
    const std::string why = ::seqrank::why_no_device(::seqrank::Device::cuda); \
    if (!why.empty()) GTEST_SKIP() << why;                                     \
    suite##_##name(::seqrank::Device::cuda);                                   \
  }                                                                            \
  static void suite##_##name([[maybe_unused]] ::seqrank::Device device)
