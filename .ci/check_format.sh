#!/usr/bin/env bash
# All tracked C++ sources are as .clang-format says. Changes nothing; `clang-format -i FILE` does.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t sources < <(git ls-files '*.cc' '*.h' '*.cu' '*.cuh')
clang-format --dry-run -Werror "${sources[@]}"
echo "${#sources[@]} files are formatted"
