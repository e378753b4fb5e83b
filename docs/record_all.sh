#!/usr/bin/env bash
# Records every result that the pages of docs/ show, but preparing 50 million lines
# (tests/long/prepare_50m.py): an hour and a half on two cores, on a quiet machine.
#   docs/record_all.sh ML-1M.TXT [PART...]     parts: seeds equal resume synth bench catalogue cores hosts points
#                                              model
#   (default: all)
# ML-1M.TXT is MovieLens-1M as published with SASRec: `user item` a line, in the order of time.
set -euo pipefail
cd "$(dirname "$0")/.."
text=$(realpath "${1:?docs/record_all.sh ML-1M.TXT [PART...]}")
shift
parts=("${@:-}")
[[ -n ${parts[0]} ]] || parts=(seeds equal resume synth bench catalogue cores hosts points model)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH=$PWD/build/cpu/launch:$PATH
if [[ $(id -u) == 0 ]]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
config=launch/configs/ml-1m_attention_rnn.ini
data=$work/ml-1m.h5
seqrank prepare --input="$text" --no-header --columns=user,item --output="$data" >/dev/null 2>&1

record() { # record NAME TITLE SEED COMMANDS
  python3 docs/record_result.py "$1" --title "$2" --seed "$3" -- sh -c "$4"
}

seeds() {
  for model in attention_rnn; do
    docs/record_model.sh "ml-1m_$model" "$data" 1 2 3 -- --baselines=popularity,markov
  done
}

short="--config=$config --data=$data --train.steps=200 --train.log_every=1 --train.evaluate_every=0"
mpirun="mpirun -q --bind-to none --oversubscribe"

equal() {
  record equal-loss "The first 200 losses on MovieLens-1M, fp32, on 1, 2 and 4 ranks" 1 \
    "for r in 1 2 4; do $mpirun -np \$r seqrank train $short --run=$work/equal\$r --threads=1 || exit 1; done; cp $work/equal1/metrics.jsonl {json:1} && cp $work/equal2/metrics.jsonl {json:2} && cp $work/equal4/metrics.jsonl {json:4}"
}

resume() {
  local step=checkpoints/step-00000200/manifest.json
  record exact-resume "MovieLens-1M on two ranks, stopped after step 100 and resumed" 1 \
    "$mpirun -np 2 seqrank train $short --run=$work/whole --threads=1 && { $mpirun -np 2 seqrank train $short --run=$work/parts --threads=1 --train.stop_at_step=100; test \$? = 75; } && $mpirun -np 2 seqrank train $short --run=$work/parts --threads=1 && cp $work/whole/metrics.jsonl {json:whole} && cp $work/parts/metrics.jsonl {json:resumed} && cp $work/whole/$step {json:whole_manifest} && cp $work/parts/$step {json:resumed_manifest}"
}

synth() {
  record synth "attention_rnn on synthetic data whose best possible score is known" 1 \
    "seqrank synth --items=1000 --sequences=20000 --length=50 --output=$work/synth.h5 --json={json:synth} && $mpirun -np 2 seqrank train --config=$config --data=$work/synth.h5 --run=$work/synth --evaluate.seen=kept --train.batch=128 --train.epochs=8 --threads=1 --json={json:train} && seqrank evaluate --run=$work/synth --data=$work/synth.h5 --json={json:evaluate}"
}

bench() {
  record bench-step "The training step on MovieLens-1M, width 64, fp32" 1 \
    "$mpirun -np 2 seqrank bench step --config=$config --data=$data --threads=1 --json={json}"
  record bench-step-batch128 "The same, 128 samples a step" 1 \
    "$mpirun -np 2 seqrank bench step --config=$config --data=$data --threads=1 --train.batch=128 --json={json}"
}

# One rank, and two that share the work.
catalogue() {
  local pair="mpirun -q --bind-to none -np 2 seqrank bench"
  local sizes=4096,16384,65536,131072,262144,524288,1048576
  record bench-loss "From ten thousand to ten million items" 1 \
    "seqrank bench loss --threads=1 --json={json:1} && $pair loss --threads=1 --json={json:2}"
  local limits="--threads=1 --bench.losses=whole,tiles --bench.events=2048 --bench.items=$sizes"
  record bench-loss-limits "Where whole rows, tiles and split tables begin to pay" 1 \
    "seqrank bench loss $limits --json={json:1} && $pair loss $limits --json={json:2}"
  local million="--bench.losses=tiles --bench.items=1000000 --bench.events=25600 --threads=1"
  record bench-loss-million "A million items and 25,600 targets: materialised logits would be 102 GB" 1 \
    "seqrank bench loss $million --json={json:1} && $pair loss $million --bench.tables=split --json={json:2}"
  record bench-table "From ten thousand to ten million items" 1 \
    "seqrank bench table --threads=1 --json={json:1} && $pair table --threads=1 --json={json:2}"
}

cores() {
  record scaling-cores "Two ranks on two cores against one, MovieLens-1M" 1 \
    "mpirun -q --bind-to none -np 2 seqrank bench scaling --config=$config --data=$data --threads=1 --bench.repeats=9 --bench.steps=10 --json={json}"
}

# Steps of equal size, so that what differs is the network. Needs root, for two network namespaces.
deep="--data=$work/deep.h5 --model.layers=4 --train.batch=11 --bench.load=weak --threads=1"
make_deep="seqrank synth --items=1000 --sequences=4000 --length=53 --output=$work/deep.h5"
wire="python3 tests/support/two_hosts/run.py --ms=1"

hosts() {
  record scaling-hosts "Two hosts joined by 1 Gbit/s and 1 ms" 1 \
    "$make_deep && $wire --gbit=1 -- seqrank bench scaling $deep --model.width=256 --bench.repeats=9 --bench.link_gbit=1 --bench.link_ms=1 --json={json}"
}

at_rate() { # at_rate GBIT WIDTHS KEY
  echo "$wire --gbit=$1 -- seqrank bench scaling $deep --bench.repeats=5 --bench.steps=8 --bench.warmup=5 --bench.widths=$2 --bench.link_gbit=$1 --bench.link_ms=1 --json={json:$3}"
}

# The points are measured once; the model is fitted to what was recorded of them.
points() {
  record scaling-points "Two hosts: points at 1, 2 and 0.5 Gbit/s and widths from 64 to 512" 1 \
    "$make_deep && $(at_rate 1 64,128 fit-1) && $(at_rate 2 64,128 fit-2) && $(at_rate 1 256,512 wide-1) && $(at_rate 2 256,512 wide-2) && $(at_rate 0.5 64,128,256,512 slow)"
}

model() {
  local split="import json,sys; [json.dump(v, open(sys.argv[2] + '/' + k + '.json', 'w')) for k, v in json.load(open(sys.argv[1]))['result'].items()]"
  record scaling-model "A model fitted to the points at 1 and 2 Gbit/s and widths 64 and 128" 1 \
    "python3 -c \"$split\" docs/results/scaling-points.json $work && cd $work && seqrank bench model --fit=fit-1.json,fit-2.json --check=wide-1.json,wide-2.json,slow.json --figures=$PWD/launch/configs/h100.ini --json={json:model}"
}

for part in "${parts[@]}"; do "$part"; done
python3 docs/make_results.py
