// What this host could still give to programs, and whether its ranks find room there. Of a GPU's
// memory it knows nothing.
#pragma once

#include <cstdint>
#include <string>

namespace seqrank {

// 0 where the host does not say. The limits of the process's control group and of those around it
// count, too (versions 1 and 2); pages of files, which the kernel takes back, are available.
// root: of the file system, for tests.
std::int64_t available_memory_bytes(const std::string& root = "");

// Whether all ranks of one host find room there, which ask at once; available = 0: nobody knows.
bool has_room(std::int64_t bytes_a_rank, int ranks_here, std::int64_t available);

}  // namespace seqrank
