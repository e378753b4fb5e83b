// Prints a broken invariant and aborts; throwing is SR_CHECK's part.
#include "backend/check.h"

#include <cstdio>
#include <cstdlib>

namespace seqrank {

void assert_failed(const char* condition, const char* file, int line, const std::string& message) {
  std::fprintf(stderr, "seqrank: internal error at %s:%d: %s: %s; please report it\n", file, line,
               condition, message.c_str());
  std::abort();
}

}  // namespace seqrank
