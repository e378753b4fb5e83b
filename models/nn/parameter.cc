// Layout and initial values of parameters.
#include "models/nn/parameter.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <vector>

#include "backend/bf16.h"
#include "backend/cpu/parallel.h"
#include "backend/ops/activation.h"
#include "backend/ops/cast.h"
#include "backend/philox.h"
#include "backend/transfer.h"

namespace seqrank {
namespace {

// Elements: 256 bytes, what matrix products and cuDNN want of an address to be fastest.
constexpr std::int64_t kAlignment = 64;
// Elements that are given initial values at once: a table may be most of the memory.
constexpr std::int64_t kInitialised = 1 << 20;
constexpr std::int64_t kInitialisedAThread = 1 << 14;  // at least: a millisecond
// Elements: 16 bytes, what NCCL moves at once.
constexpr std::int64_t kVector = 4;

std::int64_t round_up(std::int64_t n, std::int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

// FNV-1a: the initial values of a parameter do not change when another is added before it.
std::uint32_t name_hash(const std::string& name) {
  std::uint32_t hash = 2166136261u;
  for (unsigned char c : name) hash = (hash ^ c) * 16777619u;
  return hash;
}

// Of the elements that are here those from `first` on, each by its place in the whole parameter.
void initialise(const Parameter& parameter, std::uint64_t seed, std::int64_t first,
                std::span<float> out) {
  const Initialiser& init = parameter.initialiser;
  const std::uint32_t hash = name_hash(parameter.name);
  const RowSplit& split = parameter.split;
  const std::int64_t width = split.ranks > 1 ? parameter.shape[1] : 1;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto here = first + static_cast<std::int64_t>(i);
    const std::int64_t element = split.row_of_table(here / width) * width + here % width;
    const bool within = init.begin <= element && (init.end < 0 || element < init.end);
    float value = init.kind == Initialiser::Kind::constant && within ? init.amount : 0.0f;
    if (init.kind == Initialiser::Kind::uniform || init.kind == Initialiser::Kind::normal) {
      const Philox4 bits = philox(seed, Purpose::initialise,
                                  {static_cast<std::uint32_t>(element),
                                   static_cast<std::uint32_t>(element >> 32), hash, 0});
      if (init.kind == Initialiser::Kind::uniform) {
        value = init.amount * (2 * uniform_float(bits[0]) - 1);
      } else {  // Box-Muller
        const double radius = std::sqrt(-2 * std::log(1.0 - uniform_double(bits[0], bits[1])));
        const double angle = 2 * std::numbers::pi * uniform_double(bits[2], bits[3]);
        value = static_cast<float>(init.amount * radius * std::cos(angle));
      }
    }
    out[i] = value;
  }
}

// Of all that is here.
void write_initial_values(Context& ctx, const Parameter& parameter, std::uint64_t seed) {
  const std::int64_t elements = parameter.local_value().numel();
  const Tensor value = parameter.local_value().reshape({elements});
  for (std::int64_t begin = 0; begin < elements; begin += kInitialised) {
    Tensor here = value.flat_range(begin, std::min(begin + kInitialised, elements));
    Tensor host(ctx.host_arena(), DType::f32, here.shape(), Tag::workspace);
    const std::span<float> values = host.span<float>();
    const auto fill_piece = [&](std::int64_t from, std::int64_t to) {
      initialise(parameter, seed, begin + from, values.subspan(from, to - from));
    };
    if (!ctx.plans()) cpu::parallel_for(ctx, here.numel(), kInitialisedAThread, fill_piece);
    f32_to_device(ctx, here, host);
  }
}

void fill_with_zeros(Context& ctx, Tensor x) {
  Tensor zeros = x.dtype() == DType::f32 ? x : ctx.empty(DType::f32, x.shape());
  fill(ctx, zeros, 0);
  if (x.dtype() != DType::f32) cast(ctx, x, zeros);
}

}  // namespace

Initialiser Initialiser::by_fan_in(std::int64_t inputs) {
  return {Kind::uniform, 1 / std::sqrt(static_cast<float>(inputs))};
}

Tensor Parameter::value() const {
  SR_ASSERT(!made_late(), "{}: read whole, while rows of it were never made", name);
  if (store_->before_read_) store_->before_read_(*this);
  return value_;
}

Tensor Parameter::rows(Context& ctx, std::int64_t begin, std::int64_t end) const {
  if (!made_late() && !on_host_ && dtype == DType::f32) return value().rows(begin, end);
  Tensor copy_ND = ctx.empty(DType::f32, {end - begin, shape[1]});
  if (!made_late() && dtype == DType::f32)
    copy(ctx, copy_ND, value().rows(begin, end));
  else if (!made_late())
    cast(ctx, copy_ND, value().rows(begin, end));
  else if (!ctx.plans())
    read(begin * shape[1], copy_ND.span<float>());
  return copy_ND;
}

RowRounding Parameter::rounding(std::int64_t first, std::int64_t step) const {
  return {seed_, static_cast<std::uint32_t>(step), name_hash(name), split.row_of_table(first),
          split.ranks};
}

void Parameter::make_rows(std::int64_t first, std::span<const std::int32_t> row_U) {
  const std::int64_t width = shape[1];
  std::uint8_t* const made = made_K8_.data<std::uint8_t>();
  std::vector<float> fresh(width);
  for (const std::int32_t u : row_U) {
    const std::int64_t row = first + u;
    if (is_made(row)) continue;
    initialise(*this, seed_, row * width, fresh);
    if (dtype == DType::bf16)
      round_to_bf16(bf16_data(value_) + row * width, fresh.data(), width);
    else
      std::ranges::copy(fresh, value_.data<float>() + row * width);
    made[row / 8] |= static_cast<std::uint8_t>(1 << row % 8);
  }
}

void Parameter::read(std::int64_t first, std::span<float> out) const {
  const std::int64_t width = shape[1], end = first + static_cast<std::int64_t>(out.size());
  for (std::int64_t at = first; at < end;) {
    const std::int64_t row = at / width, stop = std::min(end, (row + 1) * width);
    const auto part = out.subspan(at - first, stop - at);
    if (!is_made(row)) {
      initialise(*this, seed_, at, part);
      if (dtype == DType::bf16)
        for (float& x : part) x = from_bf16(to_bf16(x));
    } else if (dtype == DType::bf16) {
      from_bf16(part.data(), bf16_data(value_) + at, stop - at);
    } else {
      std::copy_n(value_.data<float>() + at, stop - at, part.begin());
    }
    at = stop;
  }
}

Parameter& ParameterStore::declare(const std::string& name, Shape shape, Initialiser initialiser,
                                   Decay decay, Access access) {
  SR_ASSERT(!values_P, "parameter {} declared after allocate()", name);
  for (const Parameter& other : parameters_)
    SR_ASSERT(other.name != name, "parameter {} declared twice", name);
  Parameter parameter;
  parameter.name = name;
  parameter.shape = shape;
  parameter.initialiser = initialiser;
  parameter.decay = decay;
  parameter.access = access;
  parameter.index = static_cast<int>(parameters_.size());
  parameter.store_ = this;
  numel_ += shape.numel();
  parameters_.push_back(std::move(parameter));
  return parameters_.back();
}

void ParameterStore::allocate_to_load(Context& ctx, int pieces, RowSplit split,
                                      TableMemory* apart) {
  SR_ASSERT(pieces % split.ranks == 0, "{} pieces of tables split over {}", pieces, split.ranks);
  const std::int64_t whole_unit = std::lcm(kAlignment, kVector * pieces);
  std::int64_t elements = 0;
  for (Parameter& parameter : parameters_) {
    if (parameter.may_split) parameter.split = split;
    const int ranks = parameter.split.ranks;
    SR_ASSERT(parameter.apart ? parameter.access == Access::rows : parameter.dtype == DType::f32,
              "{}: apart, and not read by rows alone; or {}, and not apart", parameter.name,
              dtype_name(parameter.dtype));
    parameter.offset = parameter.apart ? 0 : round_up(elements, kAlignment);
    parameter.extent = parameter.access == Access::whole && ranks == 1
                           ? round_up(parameter.shape.numel(), whole_unit)
                           : round_up(round_up(parameter.shape[0], ranks) / ranks, pieces / ranks) *
                                 parameter.shape[1];
    if (!parameter.apart) elements = parameter.offset + parameter.extent;
  }
  values_P = ctx.empty(DType::f32, {elements}, Tag::parameter);
  fill(ctx, values_P, 0);
  for (Parameter& parameter : parameters_) {
    const Shape shape = parameter.shape_here();
    if (!parameter.apart) {
      parameter.padded_value_ =
          values_P.flat_range(parameter.offset, parameter.offset + parameter.extent);
    } else if (apart != nullptr) {
      parameter.on_host_ = apart->place == TableMemory::Place::host;
      parameter.padded_value_ =
          Tensor(apart->arena, parameter.dtype, {parameter.extent}, Tag::parameter);
    } else {
      parameter.padded_value_ = ctx.empty(parameter.dtype, {parameter.extent}, Tag::parameter);
    }
    // A file is zeros.
    if (parameter.apart && !(apart != nullptr && apart->place == TableMemory::Place::file))
      fill_with_zeros(ctx, parameter.padded_value_.flat_range(shape.numel(), parameter.extent));
    parameter.value_ = parameter.padded_value_.flat_range(0, shape.numel()).reshape(shape);
  }
}

void ParameterStore::allocate(Context& ctx, std::uint64_t seed, int pieces, RowSplit split,
                              TableMemory* apart) {
  allocate_to_load(ctx, pieces, split, apart);
  gradients_P = ctx.empty(DType::f32, values_P.shape(), Tag::gradient);
  fill(ctx, gradients_P, 0);
  for (Parameter& parameter : parameters_) {
    const Shape shape = parameter.shape_here();
    parameter.seed_ = seed;
    if (!parameter.apart)
      parameter.gradient =
          gradients_P.flat_range(parameter.offset, parameter.offset + shape.numel()).reshape(shape);
    if (parameter.apart && apart != nullptr && apart->place == TableMemory::Place::file) {
      parameter.made_K8_ = ctx.empty(DType::u8, {(shape[0] + 7) / 8}, Tag::parameter);
      std::ranges::fill(parameter.made_K8_.span<std::uint8_t>(), std::uint8_t{0});
    } else {
      write_initial_values(ctx, parameter, seed);
    }
  }
}

}  // namespace seqrank
