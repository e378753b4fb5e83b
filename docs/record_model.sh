#!/usr/bin/env bash
# Trains and evaluates one configuration on several seeds and keeps the results: one row of a table
# of docs/results.md.
#   docs/record_model.sh CONFIG DATA.H5 SEED... [-- OPTION OF EVALUATE...]
#   docs/record_model.sh ml-1m_sasrec ml-1m.h5 1 2 3 -- --baselines=popularity,markov
# CONFIG is launch/configs/CONFIG.ini, which says how its data is prepared. Runs go to
# $SEQRANK_RUNS (default: runs)/CONFIG-seedN; a run that is there already is resumed, or only
# evaluated where it has ended. SEQRANK_THREADS = threads of a run (default 1); SEQRANK_OPTIONS =
# options of both commands, such as --device=cuda; SEQRANK_TRAIN_OPTIONS = of the training alone,
# in which @SEED becomes the seed. SEQRANK_NAME = name of runs and results in CONFIG's place.
set -euo pipefail
cd "$(dirname "$0")/.."
config=${1:?docs/record_model.sh CONFIG DATA.H5 SEED... [-- OPTION OF EVALUATE...]}
data=$(realpath "${2:?docs/record_model.sh CONFIG DATA.H5 SEED... [-- OPTION OF EVALUATE...]}")
shift 2
seeds=()
while (($#)) && [[ $1 != -- ]]; do
  seeds+=("$1")
  shift
done
[[ ${1-} != -- ]] || shift
runs=$(realpath -m "${SEQRANK_RUNS:-runs}")
name=${SEQRANK_NAME:-$config}
options="--threads=${SEQRANK_THREADS:-1}${SEQRANK_OPTIONS:+ $SEQRANK_OPTIONS}"
export PATH=$PWD/build/cpu/launch:$PATH
for seed in "${seeds[@]}"; do
  run=$runs/$name-seed$seed
  of_training=${SEQRANK_TRAIN_OPTIONS:-}
  python3 docs/record_result.py "$name-seed$seed" --title "$name, seed $seed" --seed "$seed" -- \
    sh -c "seqrank train --config=launch/configs/$config.ini --data=$data --run=$run --train.seed=$seed $options ${of_training//@SEED/$seed} --json={json:train} && seqrank evaluate --run=$run --data=$data $* $options --json={json:evaluate}"
done
