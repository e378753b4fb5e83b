// What is said of kernels that cannot go on; the program ends.
#pragma once

#include <string>
#include <vector>

#include "tests/support/emulated/simt.h"

namespace seqrank::simt {

bool same_place(const Place& a, const Place& b);
std::string text_of(const Place& place);

// Names where each thread of the block waits.
[[noreturn]] void report_deadlock(const Block& block, const std::vector<Thread>& threads);

}  // namespace seqrank::simt
