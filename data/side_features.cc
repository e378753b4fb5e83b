// Records by key hold the words of a line's columns; joined, they are counted and sorted by row.
#include "data/side_features.h"

#include <array>
#include <string>
#include <utility>

#include "data/column_reader.h"
#include "data/item_text.h"
#include "data/record.h"

namespace seqrank {
namespace {

constexpr std::size_t kBuffer = 256 * 1024;
constexpr std::size_t kPiece = 1 << 16;  // rows written at once

constexpr std::array<std::string_view, 7> kUserNames = {"user_id", "user",        "userid", "uid",
                                                        "id",      "customer_id", "seq"};
constexpr std::array<std::string_view, 9> kItemNames = {"item_id", "item",        "itemid",
                                                        "id",      "product_id",  "movie_id",
                                                        "movieid", "parent_asin", "article_id"};

}  // namespace

SideFeatures::SideFeatures(const PrepareOptions& options, const FeatureFile& file, FeatureOf of,
                           TempFolder& folder, SortMemory memory, std::size_t most_bytes_of_values,
                           PrepareReport& report)
    : values_(side_values(options, file, of, most_bytes_of_values)),
      by_key_(folder, memory),
      by_id_(folder, memory) {
  const bool users = of == FeatureOf::user;
  ColumnReader in(
      file.path, file.separator,
      file.columns.empty() ? ColumnReader::Header::first_line : ColumnReader::Header::none,
      file.columns);
  const std::size_t key_column =
      users ? in.choose(file.key_column, kUserNames, "--user-features-key", "the user")
            : in.choose(file.key_column, kItemNames, "--item-features-key", "the item");
  std::vector<std::size_t> columns;
  for (ValueColumn& value : values_) {
    columns.push_back(in.columns().find(
        value.form().column, users ? "--user-features-columns" : "--item-features-columns"));
    value.found_as(in.columns().name(columns.back()));
  }
  BadLines bad;
  std::int64_t lines = 0;
  std::string reason, record, scratch;
  while (in.next()) {
    ++lines;
    record.clear();
    const auto* fields = in.fields(reason);
    if (fields) {
      put_key(record, key_of((*fields)[key_column], users ? "user" : "item", scratch, reason));
      put_number(record, static_cast<std::uint64_t>(lines), 6);
      for (std::size_t i = 0; i < values_.size() && reason.empty(); ++i)
        if (const auto word = values_[i].read((*fields)[columns[i]], reason))
          put_number(record, *word, 4);
    }
    if (reason.empty())
      by_key_.add(record);
    else
      bad.add(in.reader(), std::exchange(reason, {}));
  }
  report.bad_features += bad.count();
  if (lines > 0) bad.check(file.path, lines, options.bad_line_limit);
  by_key_.finish();
  merge_ = std::make_unique<KeyMerge>(by_key_);
}

void SideFeatures::add(std::string_view key, std::uint32_t id) {
  std::string record;
  put_number(record, id, 4);
  const std::string* found = merge_->find(key);
  without_ += found ? 0 : 1;
  std::string_view words = found ? std::string_view(*found) : "";
  for (ValueColumn& value : values_) {
    const auto word = found ? static_cast<std::uint32_t>(take_number(words, 4)) : value.missing();
    value.count(word);
    put_number(record, word, 4);
  }
  by_id_.add(record);
}

void SideFeatures::write(DatasetWriter& writer) {
  by_id_.finish();
  for (ValueColumn& value : values_) value.number();
  std::vector<std::vector<std::uint32_t>> words(values_.size());
  const auto write_piece = [&] {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      values_[i].write(writer, words[i]);
      words[i].clear();
    }
  };
  std::string_view record;
  while (by_id_.next(record)) {
    take_number(record, 4);
    for (auto& column : words) column.push_back(static_cast<std::uint32_t>(take_number(record, 4)));
    if (words[0].size() == kPiece) write_piece();
  }
  write_piece();
  for (const ValueColumn& value : values_) value.write_values(writer);
}

void add_items(const TempFile& keys, const std::vector<std::uint32_t>& id_V,
               SideFeatures& features) {
  TempReader reader(keys, kBuffer);
  std::string_view key;
  for (std::size_t place = 0; reader.next_record(key); ++place)
    if (id_V[place] != kNoItem) features.add(key, id_V[place]);
}

}  // namespace seqrank
