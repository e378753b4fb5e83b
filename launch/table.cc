// Plain text, no colours and no frames: it has to survive a pipe and a mail.
#include "launch/table.h"

#include <algorithm>

#include "backend/check.h"

namespace seqrank {
namespace {

std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::string format_table(const std::vector<std::string>& header,
                         const std::vector<std::vector<std::string>>& rows,
                         const std::vector<std::size_t>& left) {
  std::vector<std::size_t> width;
  for (const std::string& cell : header) width.push_back(characters(cell));
  for (const auto& row : rows) {
    SR_ASSERT(row.size() == header.size(), "a row of {} cells under {} headings", row.size(),
              header.size());
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], characters(row[i]));
  }
  std::string table;
  const auto add = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string blank(width[i] - characters(row[i]), ' ');
      const bool is_left = std::find(left.begin(), left.end(), i) != left.end();
      line += (i == 0 ? "" : "  ") + (is_left ? row[i] + blank : blank + row[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    table += line + "\n";
  };
  add(header);
  for (const auto& row : rows) add(row);
  return table;
}

std::string with_commas(std::int64_t value) {
  std::string digits = std::to_string(value);
  const std::size_t first = digits[0] == '-' ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

}  // namespace seqrank
