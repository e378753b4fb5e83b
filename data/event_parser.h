// The lines of one input as events: a line is one event, or a history and what follows it. Knows
// the columns and the split; keeps nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/column_reader.h"
#include "data/dataset.h"
#include "data/prepare.h"
#include "data/value_column.h"

namespace seqrank {

struct TextEvent {
  std::string_view user;  // UTF-8, not empty, at most kMaxKeyBytes
  std::string_view item;
  std::int64_t time = 0;  // 0 where there is no time column
  Split split = Split::train;
  std::uint64_t row = 0;  // of a history, from 1: a sequence of its own; 0: the line is an event
  std::span<const std::uint32_t> words;  // one for each column of values
};

class EventParser {
 public:
  struct Columns {
    std::optional<std::size_t> user, time, split, history, history_labels;
    std::size_t item = 0;
    std::vector<std::size_t> values;
  };
  // split: of all lines; nothing: as the options say. Throws Error(data), Error(usage).
  EventParser(const ColumnReader& in, const PrepareOptions& options,
              std::vector<ValueColumn>& values, std::optional<Split> split);
  const Columns& columns() const { return columns_; }

  // Calls the sink for each event of a line; false: it is bad, for this reason, and none was
  // called. place: of the line in its file, from 1; row: among all lines.
  bool parse(const std::vector<std::string_view>& fields, std::uint64_t place, std::uint64_t row,
             const std::function<void(const TextEvent&)>& sink, std::string& reason);

 private:
  bool parse_event(const std::vector<std::string_view>& fields, TextEvent& event,
                   std::string& reason);
  bool parse_history(const std::vector<std::string_view>& fields, std::string& reason);
  std::optional<Split> split_of(std::string_view text, std::string& reason) const;

  const PrepareOptions& options_;
  std::vector<ValueColumn>& values_;
  std::optional<Split> split_;
  Columns columns_;
  std::string user_, item_, text_;    // as UTF-8
  std::vector<std::uint32_t> words_;  // of an event, or the labels of a history
  std::vector<std::string> history_;
};

}  // namespace seqrank
