// Commas only; a value that holds a comma itself cannot be in a list.
#include "launch/list.h"

#include <algorithm>

#include "backend/check.h"
#include "models/options.h"

namespace seqrank {

std::vector<std::string> split_list(const std::string& key, const std::string& text) {
  std::vector<std::string> parts;
  if (text.empty()) return parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    std::string part = text.substr(begin, comma - begin);
    part.erase(0, std::min(part.find_first_not_of(' '), part.size()));
    part.erase(part.find_last_not_of(' ') + 1);
    SR_CHECK(!part.empty(), ErrorKind::usage, "{} = '{}': an empty entry; write a,b,c", key, text);
    parts.push_back(part);
    begin = comma + 1;
  }
  return parts;
}

std::vector<std::int64_t> number_list(const std::string& key, const std::string& text,
                                      const char* allowed) {
  std::vector<std::int64_t> numbers;
  Options one({{key, OptionKind::integer, "", "", allowed}});
  for (const std::string& word : split_list(key, text)) {
    one.set(key, word, "--" + key);
    numbers.push_back(one.integer(key));
  }
  SR_CHECK(!numbers.empty(), ErrorKind::usage, "--{} is empty", key);
  return numbers;
}

}  // namespace seqrank
