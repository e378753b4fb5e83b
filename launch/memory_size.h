// Sizes of memory to and from text: "256M", "1G", "1500K", "1048576". Powers of 1,024.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "backend/arena.h"

namespace seqrank {

// Bytes. Throws Error(usage) naming `key`.
std::int64_t parse_memory_size(const std::string& key, const std::string& text);

// "256 MiB", "1.5 GiB": for people.
std::string memory_words(std::int64_t bytes);

// By the names of the tags.
nlohmann::ordered_json json_of(const BytesByTag& bytes);

}  // namespace seqrank
