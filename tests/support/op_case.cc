// Drives one operator case: see op_case.h for what is compared with what.
#include "tests/support/op_case.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/philox.h"

namespace seqrank {
namespace {

constexpr double kDifferenceTolerance = 1e-7;
constexpr double kStep = 1e-3;  // fourth-order differences: error about kStep^4, rounding 1e-13
constexpr std::int64_t kTried = 64;      // of an input; fewer of large ones,
constexpr std::int64_t kWork = 1 << 15;  // since each try runs the whole reference four times
constexpr double kLeastScale = 0.1;

double max_abs(const std::vector<double>& values) {
  double largest = 0;
  for (double value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

std::vector<int> thread_counts(Device device) {
  if (device == Device::cuda) return {1};
#ifdef __SANITIZE_THREAD__
  return {1};
#else
  return {1, 2};
#endif
}

}  // namespace

std::string why_no_device(Device device) {
  try {
    Context ctx(device, 1);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

OpCase::OpCase(std::string name, Device device, std::uint64_t seed)
    : name_(std::move(name)), device_(device), seed_(seed) {}

std::vector<double> OpCase::draw(std::int64_t n, double low, double high) {
  std::vector<double> values(n);
  const std::uint32_t tensor = drawn_++;
  for (std::int64_t i = 0; i < n; ++i) {
    const Philox4 bits =
        philox(seed_, Purpose::initialise, {static_cast<std::uint32_t>(i), tensor, 0, 0});
    values[i] = static_cast<float>(low + (high - low) * uniform_double(bits[0], bits[1]));
  }
  return values;
}

OpCase& OpCase::add_entry(Entry entry) {
  entries_.push_back(std::move(entry));
  return *this;
}

OpCase& OpCase::input(const std::string& name, Shape shape, double low, double high) {
  return add_entry({name, shape, DType::f32, Role::differentiable, draw(shape.numel(), low, high)});
}

OpCase& OpCase::constant(const std::string& name, Shape shape, double low, double high) {
  return add_entry({name, shape, DType::f32, Role::constant, draw(shape.numel(), low, high)});
}

OpCase& OpCase::input_values(const std::string& name, Shape shape, std::vector<double> values) {
  return add_entry({name, shape, DType::f32, Role::differentiable, std::move(values)});
}

OpCase& OpCase::constant_values(const std::string& name, Shape shape, DType type,
                                std::vector<double> values) {
  return add_entry({name, shape, type, Role::constant, std::move(values)});
}

OpCase& OpCase::integers(const std::string& name, Shape shape, std::int64_t below, DType type) {
  std::vector<double> values = draw(shape.numel(), 0, static_cast<double>(below));
  for (double& value : values) value = std::min(std::floor(value), static_cast<double>(below - 1));
  return add_entry({name, shape, type, Role::constant, std::move(values)});
}

OpCase& OpCase::output(const std::string& name, Shape shape) {
  upstream_[name] = draw(shape.numel(), -1, 1);
  return add_entry({name, shape, DType::f32, Role::output, {}});
}

OpCase& OpCase::side_output(const std::string& name, Shape shape, DType type) {
  return add_entry({name, shape, type, Role::side, {}});
}

OpCase& OpCase::loss(const std::string& name) {
  upstream_[name] = {1.0};
  add_entry({name, {1}, DType::f64, Role::loss, {}});
  return added(name);
}

OpCase& OpCase::added(const std::string& name) {
  for (const Entry& entry : entries_) {
    const bool gradient = entry.role == Role::differentiable && "d" + entry.name == name;
    const bool result = entry.values.empty() && entry.name == name;
    if (!gradient && !result) continue;
    added_[name] = draw(entry.shape.numel(), 0.5, 1);
    return *this;
  }
  SR_CHECK(false, ErrorKind::usage, "added(\"{}\"): state the tensor first", name);
  return *this;
}

OpCase& OpCase::reference(Reference forward) {
  forward_ = std::move(forward);
  return *this;
}

OpCase& OpCase::reference_backward(Reference backward) {
  backward_ = std::move(backward);
  return *this;
}

OpCase& OpCase::run(const std::string& label, Run run) {
  runs_.emplace_back(label, std::move(run));
  return *this;
}

OpCase& OpCase::tolerance(double relative) {
  tolerance_ = relative;
  return *this;
}

bool OpCase::is_added(const std::string& name) const {
  return added_.contains(name);
}

Values OpCase::start_values() const {
  Values values;
  for (const Entry& entry : entries_) {
    const std::vector<double> zeros(entry.shape.numel(), 0.0);
    switch (entry.role) {
      case Role::constant:
        values.set(entry.name, entry.values);
        break;
      case Role::differentiable:
        values.set(entry.name, entry.values);
        values.set("d" + entry.name, zeros);
        break;
      case Role::output:
        values.set(entry.name, zeros);
        values.set("d" + entry.name, upstream_.at(entry.name));
        break;
      case Role::side:
      case Role::loss:
        values.set(entry.name, zeros);
        break;
    }
  }
  return values;
}

double OpCase::objective(const Values& inputs) {
  Values values = inputs;
  forward_(values);
  double sum = 0;
  for (const auto& [name, weights] : upstream_)
    for (std::size_t i = 0; i < weights.size(); ++i) sum += weights[i] * values[name][i];
  return sum;
}

Values OpCase::reference_result() {
  Values values = start_values();
  forward_(values);
  if (backward_) backward_(values);
  return values;
}

void OpCase::check_differences() {
  Values result = reference_result();
  for (const Entry& entry : entries_) {
    if (entry.role != Role::differentiable) continue;
    const std::vector<double>& gradient = result["d" + entry.name];
    const std::int64_t n = entry.shape.numel();
    const std::int64_t tried =
        std::clamp<std::int64_t>(kWork / std::max<std::int64_t>(1, n), 4, kTried);
    const std::int64_t stride = std::max<std::int64_t>(1, n / tried);
    const double scale = std::max(kLeastScale, max_abs(gradient));
    Values moved = start_values();
    for (std::int64_t i = 0; i < n; i += stride) {
      const double centre = entry.values[i];
      auto at = [&](double step) {
        moved[entry.name][i] = centre + step;
        const double value = objective(moved);
        moved[entry.name][i] = centre;
        return value;
      };
      const double difference =
          (8 * (at(kStep) - at(-kStep)) - (at(2 * kStep) - at(-2 * kStep))) / (12 * kStep);
      EXPECT_NEAR(gradient[i], difference, kDifferenceTolerance * scale)
          << name_ << ": reference gradient d" << entry.name << "[" << i
          << "] against central differences";
    }
  }
}

void OpCase::make_tensors(Context& ctx, Tensors& tensors) {
  auto make = [&](const std::string& name, const Entry& entry, const std::vector<double>& values) {
    Tensor tensor = ctx.empty(entry.type, entry.shape);
    set_values(ctx, tensor, values);
    tensors.set(name, tensor);
  };
  // What must be written starts as NaN, or as a value no integer result takes.
  auto start = [&](const std::string& name, const Entry& entry) {
    const bool integer = entry.type == DType::i32 || entry.type == DType::i64;
    const double unset = integer ? -987654 : std::numeric_limits<double>::quiet_NaN();
    return is_added(name) ? added_.at(name) : std::vector<double>(entry.shape.numel(), unset);
  };
  for (const Entry& entry : entries_) {
    const std::string gradient = "d" + entry.name;
    switch (entry.role) {
      case Role::constant:
        make(entry.name, entry, entry.values);
        break;
      case Role::differentiable:
        make(entry.name, entry, entry.values);
        make(gradient, entry, start(gradient, entry));
        break;
      case Role::output:
        make(entry.name, entry, start(entry.name, entry));
        make(gradient, entry, upstream_.at(entry.name));
        break;
      case Role::side:
      case Role::loss:
        make(entry.name, entry, start(entry.name, entry));
        break;
    }
  }
}

void OpCase::compare(Context& ctx, const std::string& where, const std::string& name,
                     const Tensor& got, const std::vector<double>& want) {
  std::vector<double> expected = want;
  if (is_added(name))
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += added_.at(name)[i];
  const double scale = std::max(kLeastScale, max_abs(expected));
  const std::vector<double> values = get_values(ctx, got);
  ASSERT_EQ(values.size(), expected.size()) << where << ": " << name;
  double worst = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double distance = values[i] == expected[i] ? 0 : std::fabs(values[i] - expected[i]);
    if (!(distance <= worst)) {
      worst = distance;
      at = i;
    }
    if (std::isnan(distance)) break;
  }
  EXPECT_TRUE(worst <= tolerance_ * scale)
      << where << ": " << name << "[" << at << "] is " << values[at] << ", expected "
      << expected[at] << " within " << tolerance_ * scale
      << (is_added(name) ? " (added to)" : " (written; starts as NaN)");
}

void OpCase::check_run(const std::string& label, const Run& run, int threads) {
  const std::string where = fmt::format("{}, {}, {} thread(s)", name_, label, threads);
  Values want = reference_result();
  Context ctx(device_, threads);
  Tensors tensors;
  make_tensors(ctx, tensors);
  try {
    run(ctx, tensors);
    ctx.compute().synchronize();
  } catch (const Error& error) {
    ADD_FAILURE() << where << ": " << error.what();
    return;
  }
  for (const Entry& entry : entries_) {
    const std::string gradient = "d" + entry.name;
    if (entry.role == Role::differentiable) {
      if (backward_) compare(ctx, where, gradient, tensors[gradient], want[gradient]);
    } else if (entry.role != Role::constant) {
      compare(ctx, where, entry.name, tensors[entry.name], want[entry.name]);
    }
  }
}

void OpCase::check() {
  SR_CHECK(forward_ && !runs_.empty(), ErrorKind::usage, "{}: no reference, or nothing to run",
           name_);
  if (backward_) check_differences();
  for (const auto& [label, run] : runs_)
    for (int threads : thread_counts(device_)) check_run(label, run, threads);
}

}  // namespace seqrank
