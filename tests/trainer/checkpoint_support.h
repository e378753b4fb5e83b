// A little training state for checkpoint tests: tensors whose every bit follows from (name,
// element, step), cut over any number of ranks. Sizes do not divide, some tensors are smaller than
// the number of ranks, one is empty.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "collective/communicator.h"
#include "tests/support/scratch.h"
#include "trainer/checkpoint.h"

namespace seqrank {

using test::Scratch;

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline const std::vector<TensorTotal>& test_tensors() {
  static const std::vector<TensorTotal> tensors = {
      {"items/weight", 1003}, {"items/m", 1003},   {"items/v", 1003},    {"rnn.0.w_x/weight", 85},
      {"rnn.0.w_x/m", 85},    {"rnn.0.w_x/v", 85}, {"bias/weight", 3},   {"bias/m", 3},
      {"bias/v", 3},          {"scale/weight", 1}, {"nothing/weight", 0}};
  return tensors;
}

// Any 32 bits, so not-a-numbers and denormals as well.
inline std::uint32_t test_bits(const std::string& name, std::int64_t i, std::int64_t step) {
  std::uint64_t x = std::hash<std::string>()(name) ^ (static_cast<std::uint64_t>(i) << 20) ^
                    (static_cast<std::uint64_t>(step) * 0x9E3779B97F4A7C15u);
  x = (x ^ (x >> 31)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return static_cast<std::uint32_t>(x >> 32);
}

inline TensorPiece make_piece(Arena& arena, const TensorTotal& tensor, std::int64_t begin,
                              std::int64_t end) {
  TensorPiece piece{tensor.name, begin, end, tensor.total, {}};
  piece.data = Tensor(arena, DType::f32, {end - begin}, Tag::parameter);
  std::memset(piece.data.raw(), 0xA5, piece.data.bytes());
  return piece;
}

inline std::vector<TensorPiece> make_pieces(Arena& arena, const Communicator& communicator) {
  std::vector<TensorPiece> pieces;
  for (const TensorTotal& tensor : test_tensors()) {
    const auto range =
        Communicator::piece_range(tensor.total, communicator.rank(), communicator.size());
    pieces.push_back(make_piece(arena, tensor, range.begin, range.end));
  }
  return pieces;
}

inline void fill(std::vector<TensorPiece>& pieces, std::int64_t step) {
  for (TensorPiece& piece : pieces)
    for (std::int64_t i = piece.begin; i < piece.end; ++i) {
      const std::uint32_t bits = test_bits(piece.name, i, step);
      std::memcpy(piece.data.data<float>() + (i - piece.begin), &bits, sizeof bits);
    }
}

// Elements that do not hold the bits of `step`.
inline std::int64_t wrong_elements(const std::vector<TensorPiece>& pieces, std::int64_t step) {
  std::int64_t wrong = 0;
  for (const TensorPiece& piece : pieces)
    for (std::int64_t i = piece.begin; i < piece.end; ++i) {
      const std::uint32_t bits = test_bits(piece.name, i, step);
      wrong += std::memcmp(piece.data.data<float>() + (i - piece.begin), &bits, sizeof bits) != 0;
    }
  return wrong;
}

inline TrainingState make_state(std::int64_t step) {
  TrainingState state;
  state.step = step;
  state.skipped_steps = 3;
  state.seed = 0xFEDCBA9876543210u;
  state.loss_scale = 0x1p-3;
  state.loss_scale_good = 1234;
  state.best_step = 100;
  state.best_value = 0.1 + 0.2;
  state.evaluations_without_gain = 2;
  state.metrics_bytes = 12345 + step;
  state.dataset_fingerprint = "0123456789abcdef";
  state.config = {{"model.width", "64"}, {"data", "a \"quoted\"\tpath/\xC3\xA9.h5"}, {"x", ""}};
  state.columns = {{"domain", "390f6fb3c25961f4"}};
  state.shapes = {{"items", "[3416, 64]"}};
  return state;
}

// Saves `step` on the ranks of `communicator`, and waits.
inline void save_step(CheckpointStore& store, Communicator& communicator, std::int64_t step) {
  Arena arena;
  std::vector<TensorPiece> pieces = make_pieces(arena, communicator);
  fill(pieces, step);
  store.begin_save(make_state(step), pieces);
  store.finish_save();
}

// Of checkpoint `step`, loaded by the ranks of `communicator`.
inline std::int64_t wrong_after_load(CheckpointStore& store, Communicator& communicator,
                                     std::int64_t step) {
  Arena arena;
  std::vector<TensorPiece> pieces = make_pieces(arena, communicator);
  store.load(step, pieces);
  return wrong_elements(pieces, step);
}

}  // namespace seqrank
