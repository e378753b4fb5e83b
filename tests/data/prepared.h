// What the tests of prepare share: text in, the whole data set out as plain values.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"
#include "data/prepare.h"
#include "tests/data/data_test_support.h"

namespace seqrank::test {

inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

struct Prepared {
  std::vector<std::string> users;                // keys, in the order of sequences
  std::vector<std::vector<std::string>> items;   // keys of the items of each
  std::vector<std::vector<std::int64_t>> times;  // empty where there are none
  std::vector<std::vector<std::int32_t>> ids;    // dense ids of each
  std::vector<std::string> item_keys, titles;    // by dense id
  double tie_rate = 0;
  bool operator==(const Prepared&) const = default;
};

inline Prepared read_prepared(const std::string& path) {
  const Dataset dataset = Dataset::open(path);
  Prepared all;
  for (std::int64_t v = 0; v < dataset.items(); ++v) {
    all.item_keys.push_back(dataset.item_key(v));
    all.titles.push_back(dataset.item_title(v));
  }
  for (std::int64_t s = 0; s < dataset.sequences(); ++s) {
    const auto length = static_cast<std::size_t>(dataset.length(s));
    std::vector<std::int32_t> ids(length);
    dataset.read_items(dataset.begin(s), ids);
    std::vector<std::int64_t> times(dataset.has_times() ? length : 0);
    if (dataset.has_times()) dataset.read_times(dataset.begin(s), times);
    std::vector<std::string> keys;
    for (const std::int32_t id : ids)
      keys.push_back(all.item_keys.at(static_cast<std::size_t>(id)));
    all.users.push_back(dataset.user_key(s));
    all.items.push_back(std::move(keys));
    all.times.push_back(std::move(times));
    all.ids.push_back(std::move(ids));
  }
  all.tie_rate = dataset.attributes().at("tie_rate");
  return all;
}

inline PrepareOptions prepare_options(const Scratch& scratch, const std::string& input) {
  PrepareOptions options;
  options.inputs = {input};
  options.output = scratch.file("out.h5");
  return options;
}

// Real data, where a developer has it; empty: skip.
inline std::string real_data(const std::string& name) {
  const char* folder = std::getenv("SEQRANK_TEST_DATA");
  const std::filesystem::path path =
      (folder ? std::filesystem::path(folder)
              : std::filesystem::path(SEQRANK_SOURCE_DIR) / "../shared/data") /
      name;
  return std::filesystem::exists(path) ? path.string() : "";
}

}  // namespace seqrank::test
