// What `seqrank bench` can measure: a name, its options, and what it runs. One bench_<name>.cc
// each, but loss and table, which differ in what is measured alone: bench_catalogue.cc. Adding one
// means a file, a line in command_bench.cc and a line in CMakeLists.txt.
#pragma once

#include <string>
#include <vector>

#include "models/options.h"

namespace seqrank {

class Communicator;

struct Bench {
  std::string name;
  std::string summary;  // part of a line
  std::vector<std::string> examples;
  std::vector<OptionSpec> (*options)();
  void (*dry_run)(const Options&);
  int (*run)(const Options&, Communicator&);  // the exit code
};

Bench loss_bench();
Bench model_bench();
Bench ops_bench();
Bench scaling_bench();
Bench step_bench();
Bench table_bench();

// Of benches that train: train_options() without what saves, threads, and the model's name.
std::vector<OptionSpec> training_bench_options();
void check_training_bench(const Options& given);  // throws Error(usage)

}  // namespace seqrank
