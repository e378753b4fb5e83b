// Damaged files: each of thousands of mutations is refused as Error(data), or reads correctly. Our
// own files carry checksums over all metadata and a fingerprint over the content, so of those no
// change may go unnoticed in what a reader would use.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "data/dataset.h"
#include "data/dataset_writer.h"
#include "data/inspect.h"
#include "tests/data/data_test_support.h"
#include "tests/data/raw_dataset.h"

#ifdef __SANITIZE_ADDRESS__
// HDF5 1.10.8 reads a few bytes past its own block where metadata of the old format is damaged: not
// ours to cure, and no ground to see less of our own faults.
extern "C" const char* __asan_default_suppressions() {
  return "interceptor_via_lib:libhdf5\n";
}
#endif

namespace seqrank {
namespace {

using test::RawDataset;
using test::Scratch;

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

void write_ours(const std::string& path) {
  DatasetWriter writer(path);
  for (std::int32_t s = 0; s < 20; ++s) {
    std::vector<std::int32_t> items;
    std::vector<std::int64_t> times;
    for (std::int32_t t = 0; t < s; ++t) {
      items.push_back(s * t % 7);
      times.push_back(1000 + t);
    }
    writer.add_sequence(items, times);
    writer.add_user_key("user " + std::to_string(s));
    const std::vector<std::uint8_t> labels(items.size(), 1), split(1, s < 15 ? 0 : 2);
    const std::vector<float> age = {static_cast<float>(s)};
    writer.append("/event/label", labels);
    writer.append("/event/action", items);
    writer.append("/sequence/split", split);
    writer.append("/user/feature/age", age);
  }
  for (int i = 0; i < 7; ++i) writer.add_item_key("item " + std::to_string(i));
  for (int i = 0; i < 7; ++i) writer.append_text("/action/name", "action " + std::to_string(i));
  writer.set_attribute("tie_rate", 0.0);
  writer.finish(7);
}

// As h5py does by default: the oldest format, no checksums, variable strings, 64-bit items.
void write_theirs(const std::string& path) {
  std::vector<std::int64_t> items, offsets = {0};
  for (std::int64_t s = 0; s < 20; ++s) {
    for (std::int64_t t = 0; t < s; ++t) items.push_back(s * t % 7);
    offsets.push_back(static_cast<std::int64_t>(items.size()));
  }
  RawDataset raw(path);
  hdf5::GroupId(
      H5Gcreate2(raw.file().get(), "/item/feature", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  raw.version(1)
      .numbers("/sequence/offset", offsets)
      .numbers("/event/item", items)
      .numbers("/event/action", items)
      .numbers("/item/feature/year", {1, 2, 3, 4, 5, 6, 7})
      .variable_strings("/item/key", {"a", "b", "c", "d", "e", "f", "g"});
}

// A few bytes changed, a stretch cleared, or the end cut off; where is drawn evenly over the file.
std::string mutated(const std::string& whole, std::mt19937& random) {
  std::string bytes = whole;
  const auto draw = [&](std::size_t n) { return random() % n; };
  switch (draw(4)) {
    case 0:
      bytes.resize(draw(bytes.size()));
      break;
    case 1: {
      const std::size_t begin = draw(bytes.size());
      const std::size_t end = std::min(bytes.size(), begin + 1 + draw(64));
      std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                bytes.begin() + static_cast<std::ptrdiff_t>(end), draw(2) == 0 ? '\0' : '\xff');
      break;
    }
    default:
      for (std::size_t i = 0; i <= draw(3); ++i)
        bytes[draw(bytes.size())] ^= static_cast<char>(1u << draw(8));
  }
  return bytes;
}

// Opens and reads everything; true if it was accepted. Any exception but Error(data) fails.
bool survives(const std::string& path) {
  try {
    const Dataset dataset = Dataset::open(path);
    to_text(summarise(dataset));
    for (std::int64_t item = 0; item < dataset.items(); ++item) dataset.item_key(item);
    for (std::int64_t s = 0; s < dataset.sequences(); ++s) dataset.user_key(s);
    std::vector<std::int32_t> actions(static_cast<std::size_t>(dataset.events()));
    for (const Feature& feature : dataset.features(FeatureOf::event)) {
      dataset.read_feature(FeatureOf::event, feature.name, 0, actions);
      for (std::int64_t i = 0; i < std::min<std::int64_t>(feature.values, 1000); ++i)
        dataset.feature_value(FeatureOf::event, feature.name, i);
    }
    return true;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_EQ(std::string(error.what()).find(path), 0u) << error.what();
    return false;
  }
}

TEST(Damage, OfOurFilesIsNoticed) {
  Scratch scratch;
  const std::string good = scratch.file("good.h5"), bad = scratch.file("bad.h5");
  write_ours(good);
  const std::string whole = contents(good);
  const Dataset original = Dataset::open(good);
  std::mt19937 random(1);
  int refused = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    put(bad, mutated(whole, random));
    SCOPED_TRACE(trial);
    if (!survives(bad)) {
      ++refused;
      continue;
    }
    const Dataset dataset = Dataset::open(bad);
    EXPECT_EQ(dataset.fingerprint(), original.fingerprint());
    EXPECT_EQ(dataset.sequences(), original.sequences());
    EXPECT_EQ(dataset.items(), original.items());
  }
  EXPECT_GT(refused, 1000);
  EXPECT_LT(refused, 2000);  // keys and gaps carry no sum
}

TEST(Damage, OfOtherFilesIsRefusedOrHarmless) {
  Scratch scratch;
  const std::string good = scratch.file("good.h5"), bad = scratch.file("bad.h5");
  write_theirs(good);
  ASSERT_TRUE(survives(good));
  const std::string whole = contents(good);
  std::mt19937 random(2);
  int refused = 0;
  for (int trial = 0; trial < 1000; ++trial) {
    put(bad, mutated(whole, random));
    SCOPED_TRACE(trial);
    refused += !survives(bad);
  }
  EXPECT_GT(refused, 250);
}

TEST(Damage, EveryCutIsNoticed) {
  Scratch scratch;
  const std::string good = scratch.file("good.h5"), bad = scratch.file("bad.h5");
  write_ours(good);
  const std::string whole = contents(good);
  for (std::size_t bytes = 0; bytes < whole.size(); bytes += 37) {
    put(bad, whole.substr(0, bytes));
    EXPECT_FALSE(survives(bad)) << bytes << " of " << whole.size();
  }
}

}  // namespace
}  // namespace seqrank
