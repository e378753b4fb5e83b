#!/usr/bin/env bash
# Everything that needs a GPU, in under eight minutes, on a machine where nothing can be built.
#   tests/gpu.sh --pack DIR [--data FILE.h5]
#     here: builds for H100 and H200 (SEQRANK_GPU_ARCHITECTURES=90) and puts programs and libraries
#     into DIR, to be carried
#   tests/gpu.sh [--from DIR] [--out DIR] [--data FILE.h5]
#     there: all tests, as a table and in OUT/gpu.json; exit 1 if one fails, 77 without a GPU
#   tests/gpu.sh --bench [--ops "--bench.ops=recurrence ..."] [--steps 64x32,...] [...]
#     there: speed beside PyTorch's, see tests/gpu_bench.py
#   ... --quick
#     few tests and steps: for a build with the emulated device, --from build/cuda-emulated
# There, python3 is needed, and CUDA's libraries: the system's or pip's (PyTorch brings them).
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ ${1:-} != --pack ]]; then
  exec python3 -c 'import sys
sys.path.insert(0, "tests")
import gpu_run
sys.exit(gpu_run.main())' "$@"
fi

folder=${2:?--pack needs a folder}
data=""
[[ ${3:-} != --data ]] || data=${4:?--data needs a file}
build=build/gpu-pack-build
programs=(launch/seqrank tests/backend/test_backend tests/collective/test_collective
  tests/trainer/test_trainer)
mkdir -p build
cmake --preset cuda -B $build -DCMAKE_CUDA_ARCHITECTURES="${SEQRANK_GPU_ARCHITECTURES:-90}" \
  -DSEQRANK_MARCH=x86-64-v3 >"$build.log" 2>&1 || {
  tail -20 "$build.log"
  exit 2
}
cmake --build $build -j "${SEQRANK_JOBS:-$(nproc)}" --target "${programs[@]##*/}"

rm -rf "$folder"
mkdir -p "$folder/files/bin" "$folder/files/lib"
for program in "${programs[@]}"; do
  strip -o "$folder/files/bin/${program##*/}" "$build/$program"
done
# What the programs load besides CUDA's libraries, the C library and the C++ library, which a
# machine with PyTorch has. MPI is linked but never started: ranks meet by TCP.
ldd "$folder"/files/bin/* | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
  grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv|libstdc\+\+|libgcc_s)\.so' |
  grep -vE '/lib(cuda|cublas|cudnn|nccl|nv)' |
  while read -r library; do
    strip --strip-unneeded -o "$folder/files/lib/${library##*/}" "$(readlink -f "$library")"
  done
[[ -z $data ]] || cp "$data" "$folder/files/data.h5"
tar -C "$folder/files" -cf - . | gzip -9 >"$folder/files.tar.gz"
rm -rf "$folder/files"
cp tests/support/gpu_env.sh "$folder/env.sh"
bytes=$(du -sb "$folder" | cut -f1)
echo "$folder: $((bytes >> 20)) MiB"
((bytes <= 60 << 20)) || {
  echo "more than 60 MiB" >&2
  exit 1
}
