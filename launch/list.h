// "17,42" and "a.csv, b.csv": lists as one value of an option.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace seqrank {

// Parts between commas, blanks around them removed; "" is the empty list. Throws Error(usage)
// naming `key` for an empty part.
std::vector<std::string> split_list(const std::string& key, const std::string& text);

// Likewise of whole numbers, at least one; allowed: as in OptionSpec.
std::vector<std::int64_t> number_list(const std::string& key, const std::string& text,
                                      const char* allowed);

}  // namespace seqrank
