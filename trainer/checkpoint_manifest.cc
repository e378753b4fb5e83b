// Writes and believes manifests; see checkpoint_manifest.h. Every integer is read through one
// checked function, so that hostile text cannot overflow, go negative or ask for memory.
#include "trainer/checkpoint_manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "trainer/checksum.h"

namespace seqrank {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMaxElements = std::int64_t{1} << 52;  // of a tensor
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 60;

// The text ends with this member; the sum is of all bytes before it.
std::string closing(std::uint64_t sum) {
  return fmt::format(",\n\"xxh3\": \"{}\"\n}}\n", sum_text(sum));
}

// Shortest text that reads back to the same bits.
std::string real_text(double value) {
  char buffer[64];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

class Reader {
 public:
  explicit Reader(std::string where) : where_(std::move(where)) {}

  const Json& member(const Json& object, const char* key) const {
    SR_CHECK(object.is_object() && object.contains(key), ErrorKind::checkpoint,
             "{}: '{}' is missing", where_, key);
    return object.at(key);
  }
  std::int64_t integer(const Json& object, const char* key, std::int64_t low,
                       std::int64_t high) const {
    const Json& value = member(object, key);
    // Above 2^63 the parser gives an unsigned number, which get<int64_t> would wrap.
    const bool fits = value.is_number_integer() &&
                      (!value.is_number_unsigned() ||
                       value.get<std::uint64_t>() <= static_cast<std::uint64_t>(high));
    SR_CHECK(fits && value.get<std::int64_t>() >= low && value.get<std::int64_t>() <= high,
             ErrorKind::checkpoint, "{}: '{}' is not an integer in {}..{}", where_, key, low, high);
    return value.get<std::int64_t>();
  }
  std::string text(const Json& object, const char* key) const {
    const Json& value = member(object, key);
    SR_CHECK(value.is_string(), ErrorKind::checkpoint, "{}: '{}' is no text", where_, key);
    return value.get<std::string>();
  }
  std::map<std::string, std::string> texts(const Json& object, const char* key) const {
    const Json& value = member(object, key);
    SR_CHECK(value.is_object(), ErrorKind::checkpoint, "{}: '{}' is no object", where_, key);
    std::map<std::string, std::string> result;
    for (const auto& [name, ignored] : value.items()) result[name] = text(value, name.c_str());
    return result;
  }
  bool flag(const Json& object, const char* key) const {
    const Json& value = member(object, key);
    SR_CHECK(value.is_boolean(), ErrorKind::checkpoint, "{}: '{}' is neither true nor false",
             where_, key);
    return value.get<bool>();
  }
  std::uint64_t hex(const Json& object, const char* key) const {
    const std::string digits = text(object, key);
    std::uint64_t value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    SR_CHECK(error == std::errc() && end == digits.data() + digits.size() && digits.size() == 16,
             ErrorKind::checkpoint, "{}: '{}' is not 16 hex digits", where_, key);
    return value;
  }
  double real(const Json& object, const char* key, double least) const {
    const std::string digits = text(object, key);
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    SR_CHECK(error == std::errc() && end == digits.data() + digits.size() && value >= least,
             ErrorKind::checkpoint, "{}: '{}' is no number of at least {}", where_, key, least);
    return value;
  }
  const Json& list(const Json& object, const char* key) const {
    const Json& value = member(object, key);
    SR_CHECK(value.is_array(), ErrorKind::checkpoint, "{}: '{}' is no list", where_, key);
    return value;
  }
  const std::string& where() const { return where_; }

 private:
  std::string where_;
};

Json state_json(const TrainingState& state) {
  return {{"step", state.step},
          {"skipped_steps", state.skipped_steps},
          {"seed", sum_text(state.seed)},  // hex: other readers of JSON round above 2^53
          {"best_step", state.best_step},
          {"best_value", real_text(state.best_value)},
          {"evaluations_without_gain", state.evaluations_without_gain},
          {"evaluation_due", state.evaluation_due},
          {"loss_scale", real_text(state.loss_scale)},
          {"loss_scale_good", state.loss_scale_good},
          {"metrics_bytes", state.metrics_bytes},
          {"dataset_fingerprint", state.dataset_fingerprint},
          {"item_fingerprint", state.item_fingerprint},
          {"columns", state.columns},
          {"config", state.config},
          {"shapes", state.shapes}};
}

TrainingState read_state(const Json& json, const Reader& read) {
  TrainingState state;
  state.step = read.integer(json, "step", 0, kMaxElements);
  state.skipped_steps = read.integer(json, "skipped_steps", 0, kMaxElements);
  state.seed = read.hex(json, "seed");
  state.best_step = read.integer(json, "best_step", -1, kMaxElements);
  state.best_value = read.real(json, "best_value", -std::numeric_limits<double>::infinity());
  state.evaluations_without_gain = read.integer(json, "evaluations_without_gain", 0, kMaxElements);
  state.metrics_bytes = read.integer(json, "metrics_bytes", 0, kMaxBytes);
  state.dataset_fingerprint = read.text(json, "dataset_fingerprint");
  // Absent where an early version of this program wrote it: as if there were no keys, no evaluation
  // put off, no loss scale; shapes and names of values are then not known.
  if (json.contains("item_fingerprint"))
    state.item_fingerprint = read.text(json, "item_fingerprint");
  if (json.contains("evaluation_due")) state.evaluation_due = read.flag(json, "evaluation_due");
  if (json.contains("loss_scale")) {
    state.loss_scale = read.real(json, "loss_scale", 0);
    state.loss_scale_good = read.integer(json, "loss_scale_good", 0, kMaxElements);
  }
  state.config = read.texts(json, "config");
  if (json.contains("columns")) state.columns = read.texts(json, "columns");
  if (json.contains("shapes")) state.shapes = read.texts(json, "shapes");
  return state;
}

Json shard_json(const ShardRecord& shard) {
  Json pieces = Json::array();
  for (const PieceRecord& piece : shard.pieces)
    pieces.push_back({{"name", piece.name},
                      {"begin", piece.begin},
                      {"end", piece.end},
                      {"total", piece.total},
                      {"offset", piece.offset},
                      {"xxh3", sum_text(piece.sum)}});
  return {{"bytes", shard.bytes}, {"xxh3", sum_text(shard.sum)}, {"pieces", std::move(pieces)}};
}

PieceRecord read_piece_record(const Json& json, std::int64_t shard_bytes, const Reader& read) {
  PieceRecord piece;
  piece.name = read.text(json, "name");
  SR_CHECK(!piece.name.empty(), ErrorKind::checkpoint, "{}: a piece without a name", read.where());
  piece.total = read.integer(json, "total", 0, kMaxElements);
  piece.end = read.integer(json, "end", 0, piece.total);
  piece.begin = read.integer(json, "begin", 0, piece.end);
  SR_CHECK(piece.bytes() <= shard_bytes, ErrorKind::checkpoint,
           "{}: {} [{}, {}) is longer than its file of {} bytes", read.where(), piece.name,
           piece.begin, piece.end, shard_bytes);
  piece.offset = read.integer(json, "offset", 0, shard_bytes - piece.bytes());
  piece.sum = read.hex(json, "xxh3");
  return piece;
}

ShardRecord read_shard_record(const Json& json, const Reader& read) {
  ShardRecord shard;
  shard.bytes = read.integer(json, "bytes", 0, kMaxBytes);
  shard.sum = read.hex(json, "xxh3");
  std::vector<std::pair<std::int64_t, std::int64_t>> places;
  for (const Json& piece : read.list(json, "pieces")) {
    shard.pieces.push_back(read_piece_record(piece, shard.bytes, read));
    const PieceRecord& added = shard.pieces.back();
    if (added.bytes() > 0) places.emplace_back(added.offset, added.offset + added.bytes());
  }
  std::sort(places.begin(), places.end());
  for (std::size_t i = 1; i < places.size(); ++i)
    SR_CHECK(places[i - 1].second <= places[i].first, ErrorKind::checkpoint,
             "{}: two pieces overlap at byte {} of a shard", read.where(), places[i].first);
  return shard;
}

Json parse_json(const std::string& text, const std::string& where) {
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::checkpoint, fmt::format("{}: {}", where, error.what()));
  }
}

std::string dump(const Json& json) {
  try {
    return json.dump();
  } catch (const nlohmann::json::exception& error) {  // a name or an option that is not UTF-8
    throw Error(ErrorKind::checkpoint,
                fmt::format("cannot write the training state: {}", error.what()));
  }
}

}  // namespace

std::string shard_name(std::size_t shard) {
  return fmt::format("shard-{:05d}.h5", shard);
}

std::string manifest_text(const Manifest& manifest) {
  std::string text =
      fmt::format("{{\"format\": \"seqrank checkpoint\",\n\"version\": {},\n", kCheckpointVersion);
  text += fmt::format("\"state\": {},\n\"shards\": [\n", dump(state_json(manifest.state)));
  for (std::size_t i = 0; i < manifest.shards.size(); ++i) {
    Json named = {{"file", shard_name(i)}};
    named.update(shard_json(manifest.shards[i]));
    text += dump(named) + (i + 1 < manifest.shards.size() ? ",\n" : "\n");
  }
  text += "]";
  return text + closing(checksum(text));
}

Manifest parse_manifest(const std::string& text, const std::string& path) {
  const std::size_t tail = closing(0).size();
  SR_CHECK(text.size() > tail, ErrorKind::checkpoint, "{}: {} bytes, too short for a manifest",
           path, text.size());
  const std::string_view summed(text.data(), text.size() - tail);
  const std::string expected = closing(checksum(summed)), found = text.substr(text.size() - tail);
  // Compared as text: also a flipped bit in the sum's own digits is damage.
  SR_CHECK(found == expected, ErrorKind::checkpoint,
           "{}: damaged: sum {} of its {} bytes, but it ends with {}", path,
           sum_text(checksum(summed)), summed.size(),
           Json(found).dump(-1, ' ', true, Json::error_handler_t::replace));

  const Reader read(path);
  const Json json = parse_json(text, path);
  SR_CHECK(read.text(json, "format") == "seqrank checkpoint", ErrorKind::checkpoint,
           "{}: not a seqrank checkpoint", path);
  const std::int64_t version = read.integer(json, "version", 1, 1 << 30);
  if (version > kCheckpointVersion)
    throw NewerFormatError(
        ErrorKind::checkpoint,
        fmt::format("{}: format version {}, this program reads up to {}: use a newer seqrank", path,
                    version, kCheckpointVersion));
  Manifest manifest;
  manifest.state = read_state(read.member(json, "state"), read);
  for (const Json& shard : read.list(json, "shards")) {
    const std::string name = shard_name(manifest.shards.size());
    SR_CHECK(read.text(shard, "file") == name, ErrorKind::checkpoint,
             "{}: shard {} is not called {}", path, manifest.shards.size(), name);
    manifest.shards.push_back(read_shard_record(shard, read));
  }
  SR_CHECK(!manifest.shards.empty(), ErrorKind::checkpoint, "{}: no shards", path);
  check_coverage(manifest, path);
  return manifest;
}

void check_coverage(const Manifest& manifest, const std::string& path) {
  std::vector<const PieceRecord*> pieces;
  for (const ShardRecord& shard : manifest.shards)
    for (const PieceRecord& piece : shard.pieces) pieces.push_back(&piece);
  std::sort(pieces.begin(), pieces.end(), [](const PieceRecord* a, const PieceRecord* b) {
    return std::tie(a->name, a->begin, a->end) < std::tie(b->name, b->begin, b->end);
  });
  for (std::size_t i = 0; i < pieces.size();) {
    const PieceRecord& first = *pieces[i];
    std::int64_t covered = 0;
    for (; i < pieces.size() && pieces[i]->name == first.name; ++i) {
      const PieceRecord& piece = *pieces[i];
      SR_CHECK(piece.total == first.total, ErrorKind::checkpoint,
               "{}: {} has {} elements in one shard and {} in another", path, first.name,
               first.total, piece.total);
      if (piece.begin == piece.end) continue;
      SR_CHECK(piece.begin == covered, ErrorKind::checkpoint,
               "{}: the pieces of {} {} at element {}", path, first.name,
               piece.begin < covered ? "overlap" : "leave a gap", std::min(piece.begin, covered));
      covered = piece.end;
    }
    SR_CHECK(covered == first.total, ErrorKind::checkpoint,
             "{}: the pieces of {} end at element {} of {}", path, first.name, covered,
             first.total);
  }
}

std::vector<TensorTotal> tensors_of(const Manifest& manifest) {
  std::map<std::string, std::int64_t> totals;
  for (const ShardRecord& shard : manifest.shards)
    for (const PieceRecord& piece : shard.pieces) totals[piece.name] = piece.total;
  std::vector<TensorTotal> tensors;
  for (const auto& [name, total] : totals) tensors.push_back({name, total});
  return tensors;
}

std::string shard_text(const ShardRecord& shard) {
  return dump(shard_json(shard));
}

ShardRecord parse_shard(const std::string& text) {
  const std::string where = "a peer's shard record";
  return read_shard_record(parse_json(text, where), Reader(where));
}

}  // namespace seqrank
