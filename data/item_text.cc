// Titles meet items in the order of keys (both are sorted by it), then go by id.
#include "data/item_text.h"

#include <array>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "backend/check.h"
#include "data/column_reader.h"
#include "data/key_merge.h"
#include "data/record.h"

namespace seqrank {
namespace {

constexpr std::size_t kBuffer = 256 * 1024;

constexpr std::array<std::string_view, 10> kTitleItemNames = {
    "item_id",  "item",    "itemid",      "id",         "product_id",
    "movie_id", "movieid", "parent_asin", "article_id", "video_id"};
constexpr std::array<std::string_view, 6> kTitleNames = {"title", "movie_title",   "item_title",
                                                         "name",  "product_title", "item_name"};

// The texts of (id, text) records in rising id.
void write_in_order(ExternalSort& sort, const std::function<void(const std::string&)>& write) {
  sort.finish();
  std::string_view record;
  while (sort.next(record)) {
    take_number(record, 4);
    write(std::string(record));
  }
}

std::string_view cut_title(std::string_view title) {
  if (title.size() <= kMaxTitleBytes) return title;
  std::size_t size = kMaxTitleBytes;
  while ((title[size] & 0xc0) == 0x80) --size;  // not inside a character
  return title.substr(0, size);
}

}  // namespace

std::int64_t number_by_frequency(std::vector<std::uint32_t>& count_V) {
  // There are at most sqrt(2 E) different counts.
  std::map<std::uint32_t, std::uint32_t, std::greater<>> first_id;
  for (const std::uint32_t count : count_V)
    if (count > 0) ++first_id[count];
  std::uint32_t total = 0;
  for (auto& [count, items] : first_id) {
    const std::uint32_t of_this_count = items;
    items = total;
    total += of_this_count;
  }
  for (std::uint32_t& count : count_V) count = count > 0 ? first_id[count]++ : kNoItem;
  return total;
}

std::unique_ptr<ExternalSort> read_titles(const PrepareOptions& options, TempFolder& folder,
                                          SortMemory memory, PrepareReport& report) {
  if (options.titles.empty()) return nullptr;
  ColumnReader in(options.titles, options.titles_separator,
                  options.titles_columns.empty() ? ColumnReader::Header::first_line
                                                 : ColumnReader::Header::none,
                  options.titles_columns);
  const std::size_t item =
      in.choose(options.titles_item_column, kTitleItemNames, "--titles-item", "the item");
  const std::size_t title =
      in.choose(options.titles_title_column, kTitleNames, "--titles-title", "the title");
  auto sort = std::make_unique<ExternalSort>(folder, memory);
  BadLines bad;
  std::int64_t lines = 0;
  std::string reason, record, scratch;
  while (in.next()) {
    ++lines;
    const auto* fields = in.fields(reason);
    const std::string_view key = fields ? to_utf8((*fields)[item], scratch) : "";
    if (fields && (key.empty() || key.size() > kMaxKeyBytes))
      reason = "no item, or one that is too long";
    if (!reason.empty()) {
      bad.add(in.reader(), std::exchange(reason, {}));
      continue;
    }
    if ((*fields)[title].empty()) continue;
    record.clear();
    put_key(record, key);
    put_number(record, static_cast<std::uint64_t>(lines), 6);
    record += cut_title(to_utf8((*fields)[title], scratch));
    sort->add(record);
  }
  report.bad_titles = bad.count();
  if (lines > 0) bad.check(options.titles, lines, options.bad_line_limit);
  sort->finish();
  return sort;
}

void write_item_text(const TempFile& keys, const std::vector<std::uint32_t>& id_V,
                     ExternalSort* titles, TempFolder& folder, std::size_t memory,
                     DatasetWriter& writer, PrepareReport& report) {
  const SortMemory share{memory / 4, memory / 8};
  ExternalSort key_sort(folder, share);
  ExternalSort title_sort(folder, share);
  std::unique_ptr<KeyMerge> merge;
  if (titles) merge = std::make_unique<KeyMerge>(*titles);
  TempReader reader(keys, kBuffer);
  std::string record;
  std::string_view key;
  for (std::size_t place = 0; reader.next_record(key); ++place) {
    if (id_V[place] == kNoItem) continue;
    record.clear();
    put_number(record, id_V[place], 4);
    key_sort.add(record + std::string(key_text(key)));
    if (!merge) continue;
    const std::string* title = merge->find(key);
    report.titles += title ? 1 : 0;
    record += title ? std::string_view(*title) : key_text(key);
    title_sort.add(record);
  }
  write_in_order(key_sort, [&](const std::string& text) { writer.add_item_key(text); });
  write_in_order(title_sort, [&](const std::string& text) { writer.add_item_title(text); });
}

}  // namespace seqrank
