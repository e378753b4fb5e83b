# . env.sh: unpacks the folder of `tests/gpu.sh --pack` beside itself, once, and lets this shell find
# its programs, their libraries, and CUDA's of pip where the system has none. Not for other
# programs: they would find these libraries, too.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
where=${SEQRANK_GPU_UNPACKED:-$here/unpacked}
if [[ ! -e $where/bin/seqrank ]]; then
  mkdir -p "$where" && tar -C "$where" -xzf "$here/files.tar.gz"
fi
pip_cuda=$(python3 -c 'import glob, nvidia
print(":".join(glob.glob(list(nvidia.__path__)[0] + "/*/lib")))' 2>/dev/null || true)
export LD_LIBRARY_PATH=$where/lib:${pip_cuda:+$pip_cuda:}${LD_LIBRARY_PATH:-}
export PATH=$where/bin:$PATH
