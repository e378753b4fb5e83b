// See paths_to_write.h.
#include "launch/paths_to_write.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include "backend/check.h"
#include "launch/list.h"

namespace seqrank {
namespace {

namespace fs = std::filesystem;

void check_folder_of(const std::string& option, const std::string& path) {
  std::error_code ignored;
  SR_CHECK(!fs::is_directory(path, ignored), ErrorKind::usage, "--{}={}: is a folder; name a file",
           option, path);
  const std::string folder = fs::absolute(path).parent_path().string();
  SR_CHECK(::access(folder.c_str(), W_OK | X_OK) == 0, ErrorKind::data,
           "--{}={}: the folder {} cannot be written into: {}", option, path, folder,
           std::strerror(errno));
}

}  // namespace

void check_paths_to_write(const Options& given) {
  for (const char* key : {"json", "output", "svg"})
    if (given.has(key)) check_folder_of(key, given.text(key));
  if (!given.has("json")) return;
  const std::string& json = given.text("json");
  for (const char* key :
       {"input", "titles", "test", "user-features", "item-features", "data", "path", "output"}) {
    if (!given.has(key)) continue;
    for (const std::string& path : split_list(key, given.text(key))) {
      std::error_code ignored;
      const bool same =
          fs::equivalent(path, json, ignored) ||  // what is there, by any name
          fs::absolute(path).lexically_normal() == fs::absolute(json).lexically_normal();
      SR_CHECK(!same, ErrorKind::usage, "--json={} is also --{}; give the numbers another file",
               json, key);
    }
  }
}

}  // namespace seqrank
