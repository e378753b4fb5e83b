// Subspace iteration on the sparse matrix, then Lloyd's algorithm from k-means++.
#include "data/interests.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/check.h"
#include "backend/philox.h"

namespace seqrank {
namespace {

constexpr int kPowerRounds = 12;
constexpr int kMeansRounds = 100;

double uniform(std::uint64_t seed, std::uint32_t stream, std::uint64_t i) {
  const Philox4 words =
      philox(seed, Purpose::interests,
             {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i >> 32), stream, 0});
  return uniform_double(words[0], words[1]);
}

// Sequences by items, each item once a sequence.
class Incidence {
 public:
  Incidence(std::span<const std::int64_t> offset_S1, std::span<const std::int32_t> item_E,
            std::int64_t items)
      : scale_V_(items, 0) {
    begin_S1_.push_back(0);
    for (std::size_t s = 0; s + 1 < offset_S1.size(); ++s) {
      item_.insert(item_.end(), item_E.begin() + offset_S1[s], item_E.begin() + offset_S1[s + 1]);
      const auto own = item_.begin() + begin_S1_.back();
      std::sort(own, item_.end());
      item_.erase(std::unique(own, item_.end()), item_.end());
      for (auto i = item_.begin() + begin_S1_.back(); i != item_.end(); ++i) ++scale_V_[*i];
      begin_S1_.push_back(static_cast<std::int64_t>(item_.size()));
    }
    for (double& scale : scale_V_) scale = scale > 0 ? 1 / std::sqrt(scale) : 0;
  }

  // y_VK = transposed(this) this x_VK
  void square(std::span<const double> x_VK, std::span<double> y_VK, std::int64_t width) const {
    std::fill(y_VK.begin(), y_VK.end(), 0);
    std::vector<double> sum_K(width);
    for (std::size_t s = 0; s + 1 < begin_S1_.size(); ++s) {
      const std::int64_t count = begin_S1_[s + 1] - begin_S1_[s];
      std::fill(sum_K.begin(), sum_K.end(), 0);
      for (std::int64_t e = begin_S1_[s]; e < begin_S1_[s + 1]; ++e)
        for (std::int64_t k = 0; k < width; ++k)
          sum_K[k] += scale_V_[item_[e]] * x_VK[item_[e] * width + k];
      for (std::int64_t e = begin_S1_[s]; e < begin_S1_[s + 1]; ++e)
        for (std::int64_t k = 0; k < width; ++k)
          y_VK[item_[e] * width + k] += scale_V_[item_[e]] * sum_K[k] / static_cast<double>(count);
    }
  }

 private:
  std::vector<std::int64_t> begin_S1_;
  std::vector<std::int32_t> item_;
  std::vector<double> scale_V_;
};

// Columns orthonormal, in order (modified Gram-Schmidt); what is dependent becomes zero.
void orthonormalise(std::span<double> x_VK, std::int64_t width) {
  const auto rows = static_cast<std::int64_t>(x_VK.size()) / width;
  const auto product = [&](std::int64_t a, std::int64_t b) {
    double sum = 0;
    for (std::int64_t v = 0; v < rows; ++v) sum += x_VK[v * width + a] * x_VK[v * width + b];
    return sum;
  };
  for (std::int64_t k = 0; k < width; ++k) {
    const double before = product(k, k);
    for (std::int64_t j = 0; j < k; ++j) {
      const double along = product(j, k);
      for (std::int64_t v = 0; v < rows; ++v) x_VK[v * width + k] -= along * x_VK[v * width + j];
    }
    const double left = product(k, k);
    const double scale = left > 1e-20 * before ? 1 / std::sqrt(left) : 0;
    for (std::int64_t v = 0; v < rows; ++v) x_VK[v * width + k] *= scale;
  }
}

double squared_distance(const double* a, const double* b, std::int64_t width) {
  double sum = 0;
  for (std::int64_t k = 0; k < width; ++k) sum += (a[k] - b[k]) * (a[k] - b[k]);
  return sum;
}

// Centres far apart: each drawn by its squared distance to those before (Arthur and Vassilvitskii
// 2007).
std::vector<double> first_centres(std::span<const double> x_VK, std::int64_t width,
                                  const InterestOptions& options) {
  const auto rows = static_cast<std::int64_t>(x_VK.size()) / width;
  std::vector<double> centres;
  std::vector<double> nearest_V(rows, 1);  // the first: all alike
  for (std::int64_t c = 0; c < options.interests; ++c) {
    double sum = 0;
    for (const double d : nearest_V) sum += d;
    double left = uniform(options.seed, 1, c) * sum;
    std::int64_t chosen = 0;
    while (chosen + 1 < rows && (left -= nearest_V[chosen]) >= 0) ++chosen;
    centres.insert(centres.end(), x_VK.begin() + chosen * width,
                   x_VK.begin() + (chosen + 1) * width);
    for (std::int64_t v = 0; v < rows; ++v) {
      const double d = squared_distance(&x_VK[v * width], &centres[c * width], width);
      nearest_V[v] = c == 0 ? d : std::min(nearest_V[v], d);
    }
  }
  return centres;
}

std::vector<std::int32_t> k_means(std::span<const double> x_VK, std::int64_t width,
                                  const InterestOptions& options) {
  const auto rows = static_cast<std::int64_t>(x_VK.size()) / width;
  std::vector<double> centres = first_centres(x_VK, width, options);
  std::vector<std::int32_t> group_V(rows, -1);
  for (int round = 0; round < kMeansRounds; ++round) {
    bool moved = false;
    std::vector<double> sum(centres.size(), 0), size(options.interests, 0);
    for (std::int64_t v = 0; v < rows; ++v) {
      std::int32_t best = 0;
      double least = std::numeric_limits<double>::infinity();
      for (std::int32_t c = 0; c < options.interests; ++c) {
        const double d = squared_distance(&x_VK[v * width], &centres[c * width], width);
        if (d < least) least = d, best = c;
      }
      moved |= group_V[v] != best;
      group_V[v] = best;
      ++size[best];
      for (std::int64_t k = 0; k < width; ++k) sum[best * width + k] += x_VK[v * width + k];
    }
    if (!moved) break;
    for (std::int64_t c = 0; c < options.interests; ++c)  // an empty group keeps its centre
      for (std::int64_t k = 0; size[c] > 0 && k < width; ++k)
        centres[c * width + k] = sum[c * width + k] / size[c];
  }
  return group_V;
}

}  // namespace

std::size_t interest_bytes(std::int64_t sequences, std::int64_t events, std::size_t items,
                           const InterestOptions& options) {
  // Offsets twice; the events and the matrix, which may double as they grow; two matrices of items
  // by width, a scale, the nearest centre, the interest and the item's new number.
  const auto an_item = static_cast<std::size_t>(2 * 8 * options.width + 8 + 8 + 4 + 4);
  return 4 * 8 * static_cast<std::size_t>(sequences + 1) +
         4 * 4 * static_cast<std::size_t>(events) + items * an_item;
}

std::vector<std::int32_t> find_interests(std::span<const std::int64_t> offset_S1,
                                         std::span<const std::int32_t> item_E, std::int64_t items,
                                         const InterestOptions& options) {
  SR_CHECK(options.interests >= 1 && options.interests <= items, ErrorKind::usage,
           "--interests={}: must be between 1 and the number of items, {}", options.interests,
           items);
  const std::int64_t width = std::min(options.width, items);
  const Incidence incidence(offset_S1, item_E, items);
  std::vector<double> x_VK(items * width), y_VK(x_VK.size());
  for (std::size_t i = 0; i < x_VK.size(); ++i) x_VK[i] = uniform(options.seed, 0, i) - 0.5;
  for (int round = 0; round < kPowerRounds; ++round) {
    orthonormalise(x_VK, width);
    incidence.square(x_VK, y_VK, width);
    std::swap(x_VK, y_VK);
  }
  // Directions, not lengths: how popular an item is says nothing of its interest.
  for (std::int64_t v = 0; v < items; ++v) {
    double squares = 0;
    for (std::int64_t k = 0; k < width; ++k) squares += x_VK[v * width + k] * x_VK[v * width + k];
    for (std::int64_t k = 0; k < width && squares > 0; ++k)
      x_VK[v * width + k] /= std::sqrt(squares);
  }
  return k_means(x_VK, width, options);
}

}  // namespace seqrank
