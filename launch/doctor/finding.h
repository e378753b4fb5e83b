// What is wrong, on which ranks, and what to do about it, as one line; and words for many ranks,
// hosts and processors that stay short. Decides nothing.
#pragma once

#include <string>
#include <vector>

#include "backend/check.h"
#include "launch/ranks.h"

namespace seqrank {

enum class Severity { note, warning, error };  // a note: nothing is wrong with it

struct Finding {
  std::string name;  // "two-ranks-one-core"
  Severity severity;
  ErrorKind kind;  // of an error: what the program exits with
  std::string what;
  std::string advice;      // may be empty
  std::vector<int> ranks;  // where; rising
};

// "what (ranks 0-3 on n1); advice"; a world of one says nothing of ranks.
std::string to_line(const Finding& finding, const std::vector<Seat>& seats);
std::string severity_word(Severity severity);

// The first error's code, or 0.
int exit_code(const std::vector<Finding>& findings);

// Findings that say the same of different ranks become one.
std::vector<Finding> merged(const std::vector<Finding>& findings);

std::string count(std::size_t n, const std::string& thing);  // "1 rank", "2 ranks"
std::vector<int> all_of(std::size_t ranks);                  // 0, 1, ...
std::string ranges(const std::vector<int>& rising);          // "0-3, 7"; of many, the first few
// "rank 3 on n1", "ranks 0-3 on n1, ranks 4-7 on n2", "all ranks", "ranks 0-99 on 25 hosts (n1,
// ...)".
std::string where_words(const std::vector<int>& ranks, const std::vector<Seat>& seats);

}  // namespace seqrank
