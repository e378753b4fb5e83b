// How much memory this process has had at most: what the kernel calls VmHWM. Of the process, not of
// an arena: libraries and threads are in it.
#pragma once

#include <cstdint>

namespace seqrank {

// From now on; where the kernel does not allow it, the peak stays that of the whole process's life.
void forget_peak_memory();
std::int64_t peak_memory_bytes();  // 0 where the kernel does not tell

}  // namespace seqrank
