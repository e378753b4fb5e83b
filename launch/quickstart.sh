#!/usr/bin/env bash
# From a fresh clone to recommendations: installs, builds, fetches MovieLens-100K, prepares, trains
# on two ranks, evaluates beside two baselines, recommends films to three people. Under ten minutes
# on two cores. Everything it makes is in build/ and runs/quickstart/.
#   launch/quickstart.sh            from the newest state of runs/quickstart (resumes)
#   launch/quickstart.sh --fresh    forgets runs/quickstart first
set -euo pipefail
usage="usage: launch/quickstart.sh [--fresh]   (--fresh: forget runs/quickstart first)"
fresh=no
for word in "$@"; do
  case $word in
    --fresh) fresh=yes ;;
    --help | -h)
      echo "$usage"
      exit 0
      ;;
    *)
      echo "quickstart: unknown argument '$word'; $usage" >&2
      exit 2
      ;;
  esac
done

cd "$(dirname "$0")/.."
root=$PWD
out=runs/quickstart
if [[ $fresh == yes ]]; then rm -rf "$out"; fi
mkdir -p "$out"

say() { printf '\n== %s\n' "$*"; }

say "1/6 packages"
launch/setup.sh

say "2/6 build"
[[ -f build/cpu/build.ninja ]] || cmake --preset cpu >"$out/configure.log" || {
  cat "$out/configure.log"
  exit 1
}
cmake --build build/cpu --target seqrank
seqrank="$root/build/cpu/launch/seqrank"

# mpirun refuses to start as root unless told twice; in a container root is the ordinary user.
if [[ $(id -u) == 0 ]]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
# --bind-to none: with two ranks mpirun would pin each to one core and its threads with it.
# --oversubscribe: so that it also works on a machine with one core.
mpirun2=(mpirun -q -np 2 --bind-to none --oversubscribe)

say "3/6 data"
fetched=no
if [[ -s $out/ml-100k.inter && -s $out/ml-100k.item ]]; then
  echo "MovieLens-100K is there already"
  fetched=yes
elif python3 launch/fetch_ml_100k.py "$out"; then
  fetched=yes
fi

users=1,42,800
if [[ $fetched == yes ]]; then
  data=$out/ml-100k.h5
  "$seqrank" prepare --input="$out/ml-100k.inter" --user=user_id --item=item_id --time=timestamp \
    --titles="$out/ml-100k.item" --titles-item=item_id --titles-title=movie_title --output="$data"
else
  echo "MovieLens-100K could not be fetched (see above): going on with synthetic data instead."
  data=$out/synth.h5
  "$seqrank" synth --items=1000 --sequences=2000 --length=50 --seed=7 --output="$data"
fi
# One run folder a data set: with and without network must not resume from each other.
run=$out/run-$(basename "$data" .h5)

say "4/6 training on two ranks"
"${mpirun2[@]}" "$seqrank" train --config=launch/configs/quickstart.ini --data="$data" \
  --run="$run"

say "5/6 how good it is, beside two baselines"
"$seqrank" evaluate --run="$run" --data="$data" --baselines=popularity,markov \
  --json="$out/eval.json"

say "6/6 what three people might like next"
"$seqrank" recommend --run="$run" --data="$data" --users="$users" --k=5

cat <<END
== Done. What was made, and how to look at it:
  $out/eval.json: the numbers above
  build/cpu/launch/seqrank inspect $data
  build/cpu/launch/seqrank inspect $run

What to try next:
  build/cpu/launch/seqrank recommend --run=$run --data=$data --users=7 --k=20
  build/cpu/launch/seqrank train --help
  build/cpu/launch/seqrank train --config=launch/configs/quickstart.ini --data=$data \\
    --run=runs/lstm --model.cell=lstm
  tests/run.sh
END
