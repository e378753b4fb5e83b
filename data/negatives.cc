// Drawing by counters: the numbers of a draw are a function of (seed, step, draw) alone.
#include "data/negatives.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <unordered_map>
#include <utility>

#include "backend/check.h"
#include "backend/philox.h"

namespace seqrank {
namespace {

constexpr std::int64_t kReadEvents = 1 << 20;

Philox4 random_words(std::uint64_t seed, std::int64_t step, std::int64_t draw) {
  return philox(seed, Purpose::negatives,
                {static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(step >> 32),
                 static_cast<std::uint32_t>(draw), 0});
}

// Uniform in [0, below): the upper half of a 128-bit product, biased by below / 2^64 at most.
std::int64_t number_below(const Philox4& words, std::int64_t below) {
  const std::uint64_t bits = std::uint64_t{words[0]} << 32 | words[1];
  return static_cast<std::int64_t>(
      static_cast<unsigned __int128>(bits) * static_cast<std::uint64_t>(below) >> 64);
}

// Windows come in the order of the file, so their targets are read in large pieces.
Tensor count_targets(const Dataset& dataset, const TrainingWindows& windows, Arena& arena) {
  Tensor counts(arena, DType::i32, {dataset.items()}, Tag::batch);
  const auto count_V = counts.span<std::int32_t>();
  std::ranges::fill(count_V, 0);
  std::vector<std::int32_t> items;
  std::int64_t items_begin = 0;
  for (std::int64_t w = 0; w < windows.count(); ++w) {
    const Window window = windows.at(w);
    const std::int64_t begin = window.begin + 1, end = begin + window.events;
    if (begin < items_begin || end > items_begin + static_cast<std::int64_t>(items.size())) {
      items_begin = begin;
      items.resize(std::max(window.events, std::min(kReadEvents, dataset.events() - begin)));
      dataset.read_items(items_begin, items);
    }
    for (std::int64_t e = begin; e < end; ++e) {
      std::int32_t& count = count_V[items[e - items_begin]];
      SR_CHECK(count < std::numeric_limits<std::int32_t>::max(), ErrorKind::data,
               "{}: item {} is a training target over 2^31 times", dataset.path(),
               items[e - items_begin]);
      ++count;
    }
  }
  return counts;
}

}  // namespace

NegativeSampler::NegativeSampler(const Dataset& dataset, const TrainingWindows& windows,
                                 Arena& arena, std::uint64_t seed, const NegativeNeeds& needs)
    : dataset_(dataset), seed_(seed), needs_(needs) {
  SR_ASSERT(needs.count >= 1, "{} negatives", needs.count);
  if (needs.sampler == Sampler::uniform || needs.sampler == Sampler::distinct) return;
  targets_V_ = count_targets(dataset, windows, arena);
  const auto count_V = std::as_const(targets_V_).span<std::int32_t>();
  targets_ = std::accumulate(count_V.begin(), count_V.end(), 0.0);
  if (needs.sampler != Sampler::frequency) return;
  std::vector<double> weights(count_V.begin(), count_V.end());
  for (double& weight : weights) ++weight;
  by_frequency_ = AliasTable(arena, std::move(weights));
}

std::vector<std::int32_t> NegativeSampler::draw_by_chance(std::int64_t step) const {
  std::vector<std::int32_t> items;
  for (std::int64_t i = 0; i < needs_.count; ++i) {
    const Philox4 words = random_words(seed_, step, i);
    const std::int64_t at = number_below(words, dataset_.items());
    items.push_back(needs_.sampler == Sampler::uniform
                        ? static_cast<std::int32_t>(at)
                        : by_frequency_.draw(at, uniform_double(words[2], words[3])));
  }
  return items;
}

// The beginning of a shuffle of all items, of which only what has moved is kept.
std::vector<std::int32_t> NegativeSampler::draw_distinct(std::int64_t step) const {
  const std::int64_t items = dataset_.items(), count = std::min(needs_.count, items);
  std::unordered_map<std::int64_t, std::int64_t> moved;
  const auto at = [&](std::int64_t place) {
    const auto entry = moved.find(place);
    return entry == moved.end() ? place : entry->second;
  };
  std::vector<std::int32_t> drawn;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t place = i + number_below(random_words(seed_, step, i), items - i);
    drawn.push_back(static_cast<std::int32_t>(at(place)));
    moved[place] = at(i);
  }
  return drawn;
}

// Places among all targets of the step, in rising order; windows without any are not read.
std::vector<std::int32_t> NegativeSampler::draw_targets(
    std::int64_t step, std::span<const Window> global_batch) const {
  std::int64_t all = 0;
  for (const Window& window : global_batch) all += window.events;
  std::vector<std::int64_t> place(all);
  std::iota(place.begin(), place.end(), std::int64_t{0});
  const std::int64_t count = std::min(needs_.count, all);
  if (count < all) {
    for (std::int64_t i = 0; i < count; ++i)
      std::swap(place[i], place[i + number_below(random_words(seed_, step, i), all - i)]);
    place.resize(count);
    std::ranges::sort(place);
  }
  std::vector<std::int32_t> items, of_window;
  std::int64_t begin = 0;
  auto next = place.begin();
  for (const Window& window : global_batch) {
    const std::int64_t end = begin + window.events;
    if (next != place.end() && *next < end) {
      of_window.resize(window.events);
      dataset_.read_items(window.begin + 1, of_window);
    }
    for (; next != place.end() && *next < end; ++next) items.push_back(of_window[*next - begin]);
    begin = end;
  }
  return items;
}

double NegativeSampler::share(std::int32_t item) const {
  const auto items = static_cast<double>(dataset_.items());
  switch (needs_.sampler) {
    case Sampler::uniform:
    case Sampler::distinct:
      return 1 / items;
    case Sampler::frequency:
      return (1.0 + targets_V_.data<std::int32_t>()[item]) / (targets_ + items);
    case Sampler::in_batch:
      return targets_V_.data<std::int32_t>()[item] / targets_;
  }
  SR_ASSERT(false, "sampler {}", static_cast<int>(needs_.sampler));
}

void NegativeSampler::draw(std::int64_t step, std::span<const Window> global_batch, Arena& arena,
                           Batch& batch) const {
  const std::vector<std::int32_t> items =
      needs_.sampler == Sampler::in_batch   ? draw_targets(step, global_batch)
      : needs_.sampler == Sampler::distinct ? draw_distinct(step)
                                            : draw_by_chance(step);
  const auto draws = static_cast<std::int64_t>(items.size());
  batch.negative_S = Tensor(arena, DType::i32, {draws}, Tag::batch);
  batch.negative_log_q_S = Tensor(arena, DType::f32, {draws}, Tag::batch);
  std::ranges::copy(items, batch.negative_S.data<std::int32_t>());
  std::ranges::transform(items, batch.negative_log_q_S.data<float>(), [&](std::int32_t item) {
    return static_cast<float>(std::log(static_cast<double>(draws) * share(item)));
  });
  if (needs_.own) batch.own_negatives = own_negatives(arena, batch);
}

OwnNegatives own_negatives(Arena& arena, const Batch& batch) {
  const auto negative_S = batch.negative_S.span<std::int32_t>();
  std::vector<std::int32_t> by_item(negative_S.size());  // places
  std::iota(by_item.begin(), by_item.end(), 0);
  const auto item_at = [&](std::int32_t place) { return negative_S[place]; };
  std::ranges::stable_sort(by_item, {}, item_at);
  const auto offset_B1 = batch.offset_B1.span<std::int32_t>();
  const auto item_N = batch.item_N.span<std::int32_t>();
  const auto target_N = batch.target_N.span<std::int32_t>();
  std::vector<std::int32_t> sequence_N, begin_B1 = {0}, place_K;
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    const std::int32_t begin = offset_B1[b], end = offset_B1[b + 1];
    sequence_N.insert(sequence_N.end(), end - begin, static_cast<std::int32_t>(b));
    std::set<std::int32_t> own(item_N.begin() + begin, item_N.begin() + end);
    own.insert(target_N.begin() + begin, target_N.begin() + end);
    for (std::int32_t item : own)
      std::ranges::copy(std::ranges::equal_range(by_item, item, {}, item_at),
                        std::back_inserter(place_K));
    SR_CHECK(place_K.size() <= std::numeric_limits<std::int32_t>::max(), ErrorKind::usage,
             "--loss.own_items=no finds over 2^31 drawn items that are a sequence's own; take a "
             "smaller --loss.negatives or --train.batch");
    begin_B1.push_back(static_cast<std::int32_t>(place_K.size()));
  }
  const auto tensor = [&](const std::vector<std::int32_t>& values) {
    Tensor x(arena, DType::i32, {static_cast<std::int64_t>(values.size())}, Tag::batch);
    std::ranges::copy(values, x.data<std::int32_t>());
    return x;
  };
  return {tensor(sequence_N), tensor(begin_B1), tensor(place_K)};
}

}  // namespace seqrank
