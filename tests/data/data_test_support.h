// What the tests of data share: programs to run, errors to expect.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "backend/check.h"
#include "tests/support/scratch.h"

namespace seqrank::test {

// Runs a shell command; its output and errors go to `out`. Returns its exit status.
inline int run(const std::string& command, std::string& out) {
  out.clear();
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return -1;
  char buffer[4096];
  for (std::size_t got; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    out.append(buffer, got);
  const int status = ::pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

inline int run_python(const std::string& text, const Scratch& scratch, std::string& out) {
  const std::string script = scratch.file("script.py");
  std::ofstream(script) << text;
  const int status = run(SEQRANK_PYTHON " " + script, out);
  std::filesystem::remove(script);
  return status;
}

inline bool have_h5py() {
  std::string out;
  return run(SEQRANK_PYTHON " -c 'import h5py'", out) == 0;
}

}  // namespace seqrank::test

// The statement throws an Error of this kind whose message contains the text.
#define SR_EXPECT_ERROR(statement, wanted_kind, text)                                     \
  do {                                                                                    \
    try {                                                                                 \
      statement;                                                                          \
      ADD_FAILURE() << "no error, expected one with: " << (text);                         \
    } catch (const ::seqrank::Error& error) {                                             \
      EXPECT_EQ(error.kind(), (wanted_kind)) << error.what();                             \
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what(); \
    }                                                                                     \
  } while (false)
