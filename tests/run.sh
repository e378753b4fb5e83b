#!/usr/bin/env bash
# Installs, builds and runs all tests.
#   tests/run.sh                 preset cpu
#   tests/run.sh cpu asan tsan   these presets, one after another
# Environment: SEQRANK_JOBS = parallel jobs (default: processors), SEQRANK_TEST_DATA = folder of real
# data sets. Ends with the names of the failed tests and the counts over all presets; exit 1 if a
# test failed, another code if something could not be built.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${SEQRANK_JOBS:-$(nproc)}
presets=("${@:-cpu}")
passed=0 failed=0 skipped=0 broken="" named=""

launch/setup.sh

# What ctest runs under a preset. cuda and cuda-emulated: what there is to run on a device; without
# a GPU, cuda is built and linked, and its tests are skipped with the reason. asan: everything that
# needs no launcher, whose processes ASan's leak check cannot follow. tsan: ranks as threads, the
# loader and the emulated device; it cannot see inside MPI.
selection() {
  case $1 in
    asan) echo "-L L0" ;;
    cuda) echo "-L L0 -R _cuda$|OnDevice" ;;
    cuda-emulated) echo "-L L0|L1 -R _cuda$|[Dd]evice|Emulated|Nccl|Staged|Rendezvous|Slurm" ;;
    tsan) echo "-L L0 -R Thread|Ranks|Mismatch|Loader|Stream|Exchange|Checkpoint|Train|Stop\.|BenchScaling|Emulated|_cuda$" ;;
    *) echo "-L L0|L1" ;;
  esac
}

count() { # count JUNIT-FILE ATTRIBUTE: of the suite, the first in the file
  grep -o "[[:space:]]$2=\"[0-9]*\"" "$1" | head -1 | grep -o '[0-9]*'
}

for preset in "${presets[@]}"; do
  echo "== $preset: configure and build"
  configured=$(cmake --preset "$preset" 2>&1) || {
    echo "$configured"
    exit 2
  }
  cmake --build --preset "$preset" -j "$jobs"

  echo "== $preset: tests ($(selection "$preset"))"
  junit=$PWD/build/$preset/tests.xml
  names=$PWD/build/$preset/Testing/Temporary/LastTestsFailed.log  # "17:Suite.Name"
  rm -f "$junit" "$names"
  # TSan reports what OpenMP's own barriers order, which it cannot see: one thread.
  threads=() && [[ $preset == tsan ]] && threads=(env OMP_NUM_THREADS=1)
  # shellcheck disable=SC2046  # words of the selection are arguments
  "${threads[@]}" ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure --no-tests=error \
    --output-junit "$junit" $(selection "$preset") || broken+=" $preset"
  [[ -s $junit ]] || {
    echo "$preset: ctest gave no results" >&2
    exit 2
  }
  [[ ! -e $names ]] || named+=$(sed -E "s/^[0-9]+:/FAILED: $preset: /" "$names")$'\n'
  tests=$(count "$junit" tests)
  bad=$(count "$junit" failures)
  left=$(($(count "$junit" skipped) + $(count "$junit" disabled)))
  passed=$((passed + tests - bad - left))
  failed=$((failed + bad))
  skipped=$((skipped + left))
done

# ctest counts a test whose program is missing as skipped; its exit code knows better.
[[ -z $broken ]] || echo "ctest says that not all is well under:$broken"
echo -n "$named"
echo "$passed passed, $failed failed, $skipped skipped"
[[ -z $broken ]] && ((failed == 0))
