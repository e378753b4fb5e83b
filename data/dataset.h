// A data set on disk (schema: data/README.md), validated when opened and then read by pread, so
// that no reader waits for HDF5's global lock. Opening is the only place that parses HDF5.
// Thread-safe for reading. Knows no ranks.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/feature.h"

namespace seqrank {

inline constexpr int kSchemaVersion = 1;

enum class Split { train, validation, test };

// What somebody did who is not in a data set.
struct History {
  std::vector<std::int32_t> items;
  std::vector<std::int64_t> times;  // seconds, never falling; empty: not known
};

class Dataset {
 public:
  // Throws Error(data) naming file, data set, row, value and rule. Checks every value of
  // /sequence/offset, /event/item and /event/time, in bounded memory.
  static Dataset open(const std::string& path);
  // Histories as a data set in memory, a sequence each, with the items, keys, titles and features
  // of items of another one, which must outlive it. Times are there where all histories have them.
  // Throws Error(data) naming the history, event and rule.
  static Dataset of_histories(const Dataset& catalogue, std::span<const History> histories);
  Dataset(Dataset&&) noexcept;
  Dataset& operator=(Dataset&&) noexcept;
  ~Dataset();

  const std::string& path() const;
  std::int64_t sequences() const;  // S
  std::int64_t items() const;      // V
  std::int64_t events() const;     // E
  // XXH3 over offsets, items and further columns, 16 hex digits: equal for equal content.
  const std::string& fingerprint() const;
  // XXH3 over the keys of the items in order of id, 16 hex digits: the same catalogue, numbered the
  // same. "none" where the file has no keys. Reads all keys at each call.
  std::string item_fingerprint() const;
  bool has_times() const;
  bool has_labels() const;
  // Whether the file says of each sequence what it is for; if not, split() is train for all.
  bool has_splits() const;
  Split split(std::int64_t sequence) const;
  // Of a sequence that is not for training only the last event is to be predicted.
  bool last_targets_only() const;
  bool has_item_keys() const;

  std::int64_t begin(std::int64_t sequence) const;  // its first event
  std::int64_t length(std::int64_t sequence) const;
  // Events [begin, begin + out.size()) of the file.
  void read_items(std::int64_t begin, std::span<std::int32_t> out) const;
  void read_times(std::int64_t begin, std::span<std::int64_t> out) const;
  void read_labels(std::int64_t begin, std::span<std::uint8_t> out) const;  // 0 or 1

  std::string item_key(std::int64_t item) const;    // the id as text where the file has no keys
  std::string item_title(std::int64_t item) const;  // the key where the file has no titles
  std::string user_key(std::int64_t sequence) const;
  std::optional<std::int64_t> find_item(const std::string& key) const;
  // Of all in order, without a call of the system for each. Several sequences may have one key.
  void for_each_user_key(const std::function<void(std::string_view)>& use) const;
  void for_each_item_key(const std::function<void(std::string_view)>& use) const;
  void for_each_item_title(const std::function<void(std::string_view)>& use) const;

  // Features, in the order of names but for events' action and domain, which come first. Rows
  // [begin, begin + out.size()) are events, sequences or items.
  const std::vector<Feature>& features(FeatureOf of) const;
  void read_feature(FeatureOf of, const std::string& name, std::int64_t begin,
                    std::span<std::int32_t> out) const;
  void read_feature(FeatureOf of, const std::string& name, std::int64_t begin,
                    std::span<float> out) const;
  // One value for each of the rows.
  void gather_feature(FeatureOf of, const std::string& name, std::span<const std::int32_t> rows,
                      std::span<std::int32_t> out) const;
  void gather_feature(FeatureOf of, const std::string& name, std::span<const std::int32_t> rows,
                      std::span<float> out) const;
  std::string feature_value(FeatureOf of, const std::string& name, std::int64_t id) const;

  // Root attributes that are numbers, as written ("tie_rate", "best_ndcg@10", ...).
  const std::map<std::string, double>& attributes() const;
  // One that is a text of fixed length, as prepare writes them.
  std::optional<std::string> text_attribute(const std::string& name) const;

 private:
  struct Impl;
  explicit Dataset(std::unique_ptr<Impl> impl);
  const Impl& holder(FeatureOf of) const;
  std::unique_ptr<Impl> impl_;
};

std::string hdf5_library_version();  // the library that runs, "HDF5 1.10.8"

}  // namespace seqrank
