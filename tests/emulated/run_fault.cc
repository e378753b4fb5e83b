// Runs the training step or the kernels with one planted fault: run_fault NAME. A program of its
// own, since reports end it. Exit 0: the numbers are right and nothing was reported.
#include <algorithm>
#include <cstdio>

#include "tests/emulated/fault.h"
#include "tests/emulated/fault_kernels.h"
#include "tests/emulated/step.h"

int main(int argc, char** argv) {
  using namespace seqrank::emu;
  const auto* name = std::ranges::find(kFaultNames, argc == 2 ? argv[1] : "");
  if (name == std::end(kFaultNames)) return std::fprintf(stderr, "run_fault NAME\n"), 2;
  planted = static_cast<Fault>(name - kFaultNames);
  const bool right =
      planted < Fault::kernels_without_fault ? training_is_right(12) : kernels_are_right();
  std::puts(right ? "right numbers" : "WRONG NUMBERS");
  return right ? 0 : 1;
}
