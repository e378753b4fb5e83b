// See catalogue.h.
#include "trainer/catalogue.h"

#include <numeric>
#include <unordered_map>

#include "backend/check.h"
#include "data/dataset_writer.h"

namespace seqrank {

void write_catalogue(const std::string& path, const Dataset& dataset) {
  if (!dataset.has_item_keys()) return;
  try {
    DatasetWriter writer(path);
    dataset.for_each_item_key([&](std::string_view key) { writer.add_item_key(key); });
    writer.finish(dataset.items());
  } catch (const Error& error) {
    throw Error(ErrorKind::checkpoint, error.what());
  }
}

ItemMatch same_items(std::int64_t items) {
  ItemMatch match{items, std::vector<std::int32_t>(static_cast<std::size_t>(items))};
  std::iota(match.there_of.begin(), match.there_of.end(), 0);
  return match;
}

ItemMatch match_items(const Dataset& there, const Dataset& here) {
  std::unordered_map<std::string, std::int32_t> number_of;
  std::int32_t next = 0;
  there.for_each_item_key([&](std::string_view key) { number_of.emplace(key, next++); });
  ItemMatch match{there.items(), {}};
  here.for_each_item_key([&](std::string_view key) {
    const auto found = number_of.find(std::string(key));
    match.there_of.push_back(found == number_of.end() ? -1 : found->second);
  });
  return match;
}

}  // namespace seqrank
