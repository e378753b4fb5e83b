// manifest.json of a checkpoint: which shards there are, which piece of which tensor lies where,
// their sums, and the training state. The text ends with its own sum, and is believed only when
// that sum and every count, range and total in it hold. Opens no file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/check.h"
#include "trainer/training_state.h"

namespace seqrank {

inline constexpr int kCheckpointVersion = 1;
inline constexpr std::int64_t kManifestLimit = std::int64_t{1} << 28;  // bytes

// Elements [begin, end) of a tensor, f32, little-endian, contiguous at `offset` of the shard.
struct PieceRecord {
  std::string name;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t total = 0;
  std::int64_t offset = 0;  // bytes
  std::uint64_t sum = 0;    // XXH3 of the source buffer
  std::int64_t bytes() const { return (end - begin) * 4; }
};

struct ShardRecord {
  std::int64_t bytes = 0;
  std::uint64_t sum = 0;  // XXH3 of the whole file
  std::vector<PieceRecord> pieces;
};

struct Manifest {
  TrainingState state;
  std::vector<ShardRecord> shards;  // shard i is the file shard_name(i): no path is ever read
};

// Whole and sound, but of a format that a newer program wrote.
class NewerFormatError : public Error {
 public:
  using Error::Error;
};

std::string shard_name(std::size_t shard);  // "shard-00003.h5"

std::string manifest_text(const Manifest& manifest);
// `path` is for messages. Throws Error(checkpoint).
Manifest parse_manifest(const std::string& text, const std::string& path);

// The pieces of all shards must tile each tensor exactly, once. Throws Error(checkpoint).
void check_coverage(const Manifest& manifest, const std::string& path);

std::vector<TensorTotal> tensors_of(const Manifest& manifest);  // by name

// One shard's record as text, for telling it to rank 0.
std::string shard_text(const ShardRecord& shard);
ShardRecord parse_shard(const std::string& text);

}  // namespace seqrank
