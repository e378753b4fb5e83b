#!/usr/bin/env bash
# All tracked C++ sources are as .clang-format says. Changes nothing; `clang-format -i FILE` does.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! listed=$(git ls-files '*.cc' '*.h' '*.cu' '*.cuh') || [[ -z $listed ]]; then
  echo "check_format: git lists no sources here; if it says \"dubious ownership\" above, run:" \
    "git config --global --add safe.directory $PWD" >&2
  exit 1
fi
mapfile -t sources <<<"$listed"
clang-format --dry-run -Werror "${sources[@]}"
echo "${#sources[@]} files are formatted"
