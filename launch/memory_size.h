// "256M", "1G", "1500K", "1048576": the one place that reads sizes of memory. Powers of 1,024.
#pragma once

#include <cstdint>
#include <string>

namespace seqrank {

// Bytes. Throws Error(usage) naming `key`.
std::int64_t parse_memory_size(const std::string& key, const std::string& text);

// "256 MiB", "1.5 GiB": for people.
std::string memory_words(std::int64_t bytes);

}  // namespace seqrank
