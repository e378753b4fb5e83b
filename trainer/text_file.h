// Small text files, read and written whole. Errors name the path; their class is data/file.h's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace seqrank {

// Refuses symbolic links, so that no file elsewhere is taken for ours, and files over the limit.
std::string read_text_file(const std::string& path, std::int64_t limit_bytes);
// On disk when it returns; under this name once its folder is synced (data/file.h's rename).
void write_text_file(const std::string& path, std::string_view text);
// New names in the folder are on disk when it returns.
void sync_folder(const std::string& path);

}  // namespace seqrank
