#!/usr/bin/env bash
# Installs what building, testing and running need: the one list of packages. Debian 12, as root or
# with sudo. Does nothing, at once, when all of them are there. Changes no settings.
set -euo pipefail

packages=(
  # to build
  ca-certificates ccache clang-format cmake g++ git ninja-build pkg-config
  # libraries
  libboost-dev libboost-program-options-dev libdnnl-dev libfmt-dev libhdf5-dev libopenmpi-dev
  libprotobuf-dev libxxhash-dev libzstd-dev nlohmann-json3-dev ocl-icd-opencl-dev openmpi-bin
  protobuf-compiler zlib1g-dev
  # to test, and for the scripts: gnuplot draws, munge and Slurm run a cluster of two namespaces
  gnuplot-nox hdf5-tools iproute2 libgmock-dev libgtest-dev munge python3 python3-h5py python3-pip
  slurm-wlm zstd
)

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $state == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "setup: all ${#packages[@]} packages are installed"
  exit 0
fi

command -v apt-get >/dev/null || {
  echo "setup: there is no apt-get here; install what the list in launch/setup.sh names in your" \
    "system's own way" >&2
  exit 2
}
as_root=()
if [[ $(id -u) != 0 ]]; then
  command -v sudo >/dev/null || {
    echo "setup: needs root or sudo to install: ${missing[*]}" >&2
    exit 2
  }
  as_root=(sudo)
fi

echo "setup: installing ${missing[*]}"
# The time-out waits for another package manager instead of failing beside it.
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=180)
"${apt[@]}" -qq update
"${apt[@]}" install -y --no-install-recommends "${missing[@]}"
