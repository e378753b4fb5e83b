// gnuplot reads the script from a pipe and writes a temporary file.
#include "launch/gnuplot.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "backend/check.h"
#include "launch/output.h"

namespace seqrank {
namespace {

bool found_in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');)
    if (::access((folder + "/" + program).c_str(), X_OK) == 0) return true;
  return false;
}

std::string read_and_remove(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  std::remove(path.c_str());
  return text.str();
}

}  // namespace

void check_gnuplot() {
  SR_CHECK(found_in_path("gnuplot"), ErrorKind::usage,
           "--svg needs the program gnuplot, which is not in PATH; install gnuplot-nox, or leave "
           "--svg away");
}

void draw_svg(const std::string& path, const std::string& script) {
  check_gnuplot();
  std::string drawn = (std::filesystem::temp_directory_path() / "seqrank-XXXXXX").string();
  const int file = ::mkstemp(drawn.data());
  SR_CHECK(file >= 0, ErrorKind::data, "{}: cannot be made: {}", drawn, std::strerror(errno));
  ::close(file);
  std::FILE* gnuplot = ::popen("gnuplot -", "w");
  SR_CHECK(gnuplot != nullptr, ErrorKind::data, "{}: cannot start gnuplot: {}", path,
           std::strerror(errno));
  const std::string whole =
      fmt::format("set terminal svg size 800,500\nset output '{}'\n{}", drawn, script);
  std::fwrite(whole.data(), 1, whole.size(), gnuplot);  // a gnuplot that fails says so when closed
  const int status = ::pclose(gnuplot);
  const std::string svg = read_and_remove(drawn);
  SR_CHECK(status == 0 && !svg.empty(), ErrorKind::data,
           "{}: gnuplot did not draw it (wait status {}); see what it printed above", path, status);
  write_file(path, svg);
}

}  // namespace seqrank
