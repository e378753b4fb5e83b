// What this host could still give to programs, and whether its ranks find room there. Of a GPU's
// memory it knows nothing.
#pragma once

#include <cstdint>

namespace seqrank {

// 0 where it does not say; a limit of the process's control group counts, too.
std::int64_t available_memory_bytes();

// Whether all ranks of one host find room there, which ask at once; available = 0: nobody knows.
bool has_room(std::int64_t bytes_a_rank, int ranks_here, std::int64_t available);

}  // namespace seqrank
