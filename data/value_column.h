// One column of text on its way into a data set: fields become words of 4 bytes that travel with
// the events, and words become ids or numbers once all that stays has been counted. Holds a table
// of its different values, of bounded size; ids depend on values and counts, not on the order of
// lines.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/dataset_writer.h"
#include "data/feature.h"
#include "data/prepare.h"

namespace seqrank {

class ValueColumn {
 public:
  // category: id 0 is for missing and rare values, then by falling count, then by key.
  // name: every value is named, none may be missing; ids by key.
  // number: standardised; missing ones become 0, the mean.
  // label: 0 or 1, or whether the number reaches a threshold.
  enum class Kind { category, name, number, label };
  struct Form {
    Kind kind;
    std::string column;          // in the text, by name or number
    std::string place;           // in the data set
    std::string values_place;    // of the texts of ids, for category and name
    std::string attribute = {};  // the mean and sd of numbers go to ATTRIBUTE.mean and ATTRIBUTE.sd
    std::optional<double> positive = {};  // the threshold of a label; nothing: it is 0 or 1
    std::int64_t min_count = 1;           // values of a category counted less often are rare
  };
  ValueColumn(Form form, std::size_t most_bytes) : form_(std::move(form)), limit_(most_bytes) {}

  const Form& form() const { return form_; }
  // To be called with the name of the column as found: says how lists are separated.
  void found_as(const std::string& column_name);
  // The field as a word; nothing where the field is bad, with the reason. Of a list ("a|b", or by
  // spaces where the type of the column is RecBole's token_seq) the first entry counts.
  std::optional<std::uint32_t> read(std::string_view field, std::string& reason);
  // The word of a category or name that was read; nothing where none was.
  std::optional<std::uint32_t> word(const std::string& text) const;
  // The word of a missing value.
  std::uint32_t missing() const;

  void count(std::uint32_t word);
  void number();  // after the last count(), before the first write()
  void write(DatasetWriter& writer, std::span<const std::uint32_t> words) const;
  void write_values(DatasetWriter& writer) const;  // texts of ids; mean and sd

 private:
  std::optional<std::uint32_t> read_category(std::string_view field, std::string& reason);
  std::optional<std::uint32_t> read_number(std::string_view field, std::string& reason) const;

  Form form_;
  std::size_t limit_;
  std::size_t bytes_ = 0;
  char list_separator_ = '|';
  std::string scratch_;
  std::unordered_map<std::string, std::uint32_t> word_of_;
  std::vector<std::int64_t> count_;       // by word
  std::vector<std::int32_t> id_of_word_;  // once numbered
  std::vector<std::string> values_;       // by id, likewise
  std::int64_t numbers_ = 0;
  double mean_ = 0, squares_ = 0;  // of deviations from the mean
};

// What the options ask to be kept of each event: the label first where there is one.
std::vector<ValueColumn> event_values(const PrepareOptions& options, std::size_t most_bytes);
// What they ask of a file of features; users or items.
std::vector<ValueColumn> side_values(const PrepareOptions& options, const FeatureFile& file,
                                     FeatureOf of, std::size_t most_bytes);

}  // namespace seqrank
