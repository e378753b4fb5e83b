// All numbers are Philox's: a benchmark measures the same work on every machine.
#include "trainer/op_samples.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "backend/ops/cast.h"
#include "backend/philox.h"
#include "backend/transfer.h"

namespace seqrank {

const char* const kPackedLengthsInWords =
    "log-normal, median a quarter of the longest, sigma 1, held within [2, longest]";

namespace {

constexpr std::uint64_t kSeed = 1;
// Values repeat after so many, a prime number: drawing hundreds of millions takes longer than all
// that is measured with them.
constexpr std::int64_t kPeriod = 1000003;

Philox4 words(std::int64_t i, std::uint32_t what) {
  return philox(kSeed, Purpose::synth,
                {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i >> 32), what, 0});
}

// Box and Muller.
double normal(std::int64_t i) {
  const Philox4 w = words(i, 0);
  return std::sqrt(-2 * std::log(1 - uniform_double(w[0], w[1]))) *
         std::cos(2 * std::numbers::pi * uniform_double(w[2], w[3]));
}

Tensor i32_on_device(Context& ctx, const std::vector<std::int32_t>& values) {
  Tensor host(ctx.host_arena(), DType::i32, {static_cast<std::int64_t>(values.size())}, Tag::batch);
  std::ranges::copy(values, host.span<std::int32_t>().begin());
  return to_device(ctx, host);
}

}  // namespace

SampleLengths SampleLengths::fixed(std::int64_t longest, std::int64_t events) {
  SampleLengths result;
  result.name = fmt::format("fixed {}", longest);
  result.longest = longest;
  result.length_B.assign(std::max<std::int64_t>(1, events / longest),
                         static_cast<std::int32_t>(longest));
  result.events = longest * static_cast<std::int64_t>(result.length_B.size());
  return result;
}

SampleLengths SampleLengths::packed(std::int64_t longest, std::int64_t events) {
  SampleLengths result;
  result.name = fmt::format("packed {}", longest);
  result.longest = longest;
  const double most = static_cast<double>(longest), least = std::min(2.0, most);
  for (std::int64_t b = 0; result.events < events; ++b) {
    const double drawn = std::round(most / 4 * std::exp(normal(b)));
    const auto length = static_cast<std::int64_t>(std::clamp(drawn, least, most));
    result.length_B.push_back(static_cast<std::int32_t>(std::min(length, events - result.events)));
    result.events += result.length_B.back();
  }
  return result;
}

double SampleLengths::causal_pairs() const {
  double pairs = 0;
  for (const std::int32_t length : length_B) pairs += 0.5 * length * (length + 1.0);
  return pairs;
}

SamplePacking::SamplePacking(Context& ctx, const SampleLengths& lengths) {
  const std::vector<std::int32_t>& length_B = lengths.length_B;
  std::vector<std::int32_t> offset = {0}, by_length(length_B.size()), order;
  for (const std::int32_t length : length_B) offset.push_back(offset.back() + length);
  std::iota(by_length.begin(), by_length.end(), 0);
  std::ranges::stable_sort(by_length, std::greater(), [&](auto b) { return length_B[b]; });
  std::size_t alive = by_length.size();
  for (std::int32_t t = 0;; ++t) {
    while (alive > 0 && length_B[by_length[alive - 1]] <= t) --alive;
    if (alive == 0) break;
    for (std::size_t i = 0; i < alive; ++i) order.push_back(offset[by_length[i]] + t);
    sequences_at_T.push_back(static_cast<std::int32_t>(alive));
  }
  offset_B1 = i32_on_device(ctx, offset);
  time_order_N = i32_on_device(ctx, order);
}

SampleValues::SampleValues(Context& ctx, DType type, std::int64_t elements) {
  Tensor host(ctx.host_arena(), DType::f32, {elements}, Tag::batch);
  float* values = host.data<float>();
  const std::int64_t drawn = std::min(elements, kPeriod);
  for (std::int64_t i = 0; i < drawn; i += 4) {
    const Philox4 w = words(i / 4, 1);
    for (std::int64_t j = i; j < std::min(i + 4, drawn); ++j)
      values[j] = 0.2f * uniform_float(w[j - i]) - 0.1f;
  }
  for (std::int64_t i = drawn; i < elements; i += kPeriod)
    std::copy_n(values, std::min(kPeriod, elements - i), values + i);
  const Tensor f32 = to_device(ctx, host);
  block_ = f32;
  if (type == DType::f32) return;
  block_ = ctx.empty(type, {elements});
  cast(ctx, block_, f32);
}

Tensor SampleValues::take(Shape shape) {
  const std::int64_t begin = used_;
  used_ += (shape.numel() + 63) / 64 * 64;  // aligned
  SR_ASSERT(begin + shape.numel() <= block_.numel(), "{} values of {} are taken, {} more wanted",
            begin, block_.numel(), shape.numel());
  return block_.flat_range(begin, begin + shape.numel()).reshape(shape);
}

Tensor sample_ids(Context& ctx, std::int64_t n, std::int64_t below) {
  Tensor ids(ctx.host_arena(), DType::i32, {n}, Tag::batch);
  const auto span = ids.span<std::int32_t>();
  for (std::int64_t i = 0; i < n; ++i)
    span[i] = static_cast<std::int32_t>(uniform_double(words(i, 2)[0], words(i, 2)[1]) *
                                        static_cast<double>(below));
  return ids;
}

}  // namespace seqrank
