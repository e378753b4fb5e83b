// Tables for people on standard output. Numbers for programs go to --json FILE instead.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace seqrank {

// Rows of cells under a header, columns as wide as their widest cell (counted in UTF-8 characters);
// the columns named in `left` are flush left, all others right. Ends with a line break.
std::string format_table(const std::vector<std::string>& header,
                         const std::vector<std::vector<std::string>>& rows,
                         const std::vector<std::size_t>& left = {0});

// 1234567 -> "1,234,567".
std::string with_commas(std::int64_t value);

}  // namespace seqrank
