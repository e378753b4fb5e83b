// Manifests: what is written is read back bitwise, and hostile text is an Error and nothing else.
#include "trainer/checkpoint_manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/trainer/checkpoint_support.h"
#include "trainer/checksum.h"

namespace seqrank {
namespace {

Manifest make_manifest() {
  Manifest manifest;
  manifest.state = make_state(100);
  manifest.shards = {
      {4096, 0xFFFFFFFFFFFFFFFFu, {{"a/weight", 0, 5, 8, 2048, 1}, {"b/weight", 0, 0, 1, 0, 2}}},
      {2048, 0, {{"a/weight", 5, 8, 8, 100, 3}, {"b/weight", 0, 1, 1, 112, 4}}}};
  return manifest;
}

// The same text under a sum that holds, as an adversary or a buggy writer would leave it.
std::string signed_again(const std::string& text) {
  const std::size_t tail = std::string(",\n\"xxh3\": \"0123456789abcdef\"\n}\n").size();
  const std::string body = text.substr(0, text.size() - tail);
  return body + ",\n\"xxh3\": \"" + sum_text(checksum(body)) + "\"\n}\n";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return signed_again(text.replace(at, from.size(), to));
}

std::string error_of(const std::string& text) {
  try {
    parse_manifest(text, "m.json");
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::checkpoint);
    return error.what();
  }
}

TEST(CheckpointManifest, ComesBackBitwise) {
  const Manifest manifest = make_manifest();
  const std::string text = manifest_text(manifest);
  const Manifest back = parse_manifest(text, "m.json");
  EXPECT_EQ(manifest_text(back), text);
  EXPECT_EQ(back.state.config, manifest.state.config);
  EXPECT_EQ(back.state.columns, manifest.state.columns);
  EXPECT_EQ(back.state.shapes, manifest.state.shapes);
  EXPECT_EQ(back.state.best_value, manifest.state.best_value);
  EXPECT_EQ(back.state.loss_scale, manifest.state.loss_scale);
  EXPECT_EQ(back.state.loss_scale_good, manifest.state.loss_scale_good);
  ASSERT_EQ(back.shards.size(), 2u);
  EXPECT_EQ(back.shards[0].sum, 0xFFFFFFFFFFFFFFFFu);
  EXPECT_EQ(back.shards[1].pieces[0].begin, 5);
  EXPECT_EQ(parse_shard(shard_text(manifest.shards[1])).pieces[1].sum, 4u);
}

TEST(CheckpointManifest, EveryFlippedBitIsSeen) {
  const std::string text = manifest_text(make_manifest());
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_NE(error_of(flipped), "") << "bit " << bit;
  }
  for (std::size_t length = 0; length < text.size(); ++length)
    ASSERT_NE(error_of(text.substr(0, length)), "") << "length " << length;
  EXPECT_NE(error_of(text + "\n"), "");
}

TEST(CheckpointManifest, HostileValuesAreNamed) {
  const std::string text = manifest_text(make_manifest());
  ASSERT_EQ(signed_again(text), text);
  const struct {
    const char *from, *to, *why;
  } cases[] = {
      {"\"total\":8,\"offset\":2048", "\"total\":-8,\"offset\":2048", "total"},
      {"\"total\":8,\"offset\":2048", "\"total\":18446744073709551615,\"offset\":2048", "total"},
      {"\"total\":8,\"offset\":2048", "\"total\":9223372036854775807,\"offset\":2048", "total"},
      {"\"total\":8,\"offset\":2048", "\"total\":1e3,\"offset\":2048", "total"},
      {"\"total\":8,\"offset\":2048", "\"total\":9,\"offset\":2048", "a/weight has"},
      {"\"end\":5", "\"end\":9", "end"},
      {"\"end\":5", "\"end\":6", "overlap"},
      {"\"end\":5", "\"end\":4", "leave a gap"},
      {"\"begin\":5,\"end\":8", "\"begin\":5,\"end\":7", "end at element 7 of 8"},
      {"\"offset\":2048", "\"offset\":-1", "offset"},
      {"\"offset\":2048", "\"offset\":4090", "offset"},
      {"\"offset\":112", "\"offset\":104", "overlap at byte"},
      {"\"bytes\":2048", "\"bytes\":-2048", "bytes"},
      {"\"bytes\":2048", "\"bytes\":99999999999999999999", "bytes"},
      {"shard-00001.h5", "../../etc/passwd", "shard-00001.h5"},
      {"shard-00001.h5", "/etc/passwd", "shard-00001.h5"},
      {"\"name\":\"b/weight\"", "\"name\":\"\"", "name"},
      {"\"name\":\"b/weight\"", "\"name\":7", "name"},
      {"\"step\":100", "\"step\":-1", "step"},
      {"\"step\":100", "\"stop\":100", "step"},
      {"\"loss_scale\":\"0.125\"", "\"loss_scale\":\"-1\"", "loss_scale"},
      {"\"loss_scale\":\"0.125\"", "\"loss_scale\":\"nan\"", "loss_scale"},
      {"\"config\":{", "\"config\":[{\"a\":", "m.json"},
      {"\"shapes\":{\"items\":\"[3416, 64]\"}", "\"shapes\":[\"items\"]", "no object"},
      {"\"shards\": [", "\"shards\": [[", "m.json"},
      {"seqrank checkpoint", "another format", "not a seqrank"},
  };
  for (const auto& c : cases)
    EXPECT_THAT(error_of(replaced(text, c.from, c.to)), testing::HasSubstr(c.why)) << c.to;
}

TEST(CheckpointManifest, ANewerFormatIsToldApart) {
  const std::string text =
      replaced(manifest_text(make_manifest()), "\"version\": 1", "\"version\": 2");
  EXPECT_THROW(parse_manifest(text, "m.json"), NewerFormatError);
  EXPECT_THAT(error_of(text), testing::HasSubstr("newer seqrank"));
}

TEST(CheckpointManifest, DeepNestingIsNoCrash) {
  const std::string deep(200'000, '[');
  EXPECT_NE(
      error_of(replaced(manifest_text(make_manifest()), "\"shards\": [", "\"shards\": " + deep)),
      "");
}

// Random edits, signed again so that the parser runs: an Error, or a manifest that is sound.
TEST(CheckpointManifest, RandomEditsAreErrorsOrSound) {
  const std::string text = manifest_text(make_manifest());
  const std::vector<std::string> tokens = {
      "-1",      "18446744073709551615", "1e999", "null", "[]", "{}", "\"\"", "0", ",", "}", "../x",
      "\\u0000", "9223372036854775808"};
  std::mt19937 random(11);
  int refused = 0;
  constexpr int kTrials = 4000;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::string edited = text;
    const int edits = 1 + static_cast<int>(random() % 3);
    for (int e = 0; e < edits; ++e) {
      const std::size_t at = random() % (edited.size() - 40);
      switch (random() % 4) {
        case 0:
          edited[at] = static_cast<char>(random());
          break;
        case 1:
          edited.replace(at, random() % 8, tokens[random() % tokens.size()]);
          break;
        case 2:
          edited.erase(at, random() % 30);
          break;
        default:
          edited[at] = static_cast<char>('0' + random() % 10);
      }
    }
    try {
      const Manifest manifest = parse_manifest(signed_again(edited), "m.json");
      check_coverage(manifest, "m.json");
      for (const ShardRecord& shard : manifest.shards)
        for (const PieceRecord& piece : shard.pieces) {
          ASSERT_GE(piece.offset, 0);
          ASSERT_LE(piece.offset + piece.bytes(), shard.bytes);
        }
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::checkpoint);
      ++refused;
    }
  }
  EXPECT_GT(refused, kTrials / 2);
}

}  // namespace
}  // namespace seqrank
