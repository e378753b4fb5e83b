#!/usr/bin/env python3
"""Starts runs of the real program from another run, under the real mpirun, on data sets that number
their items differently.

  transfer_test.py --list               names of the cases
  transfer_test.py PROGRAM CASE         runs one
"""
import array
import glob
import json
import os
import random
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases
from training import SMALL, STOPPED_RESUMABLE, losses, sums

USAGE, CHECKPOINT = 2, 6
WIDTH = 16  # as in SMALL
# Item n is k{n}. Frequencies fall with n in the one, rise with it in the other, and so do ids.
SOURCE = {n: 60 - 2 * n for n in range(20)}
TARGET = {n: 3 * n for n in range(8, 24)}


def keys_of(counts):
    return [f"k{n}" for n in sorted(counts, key=counts.get, reverse=True)]


def make_data(program, name, counts):
    events = [f"k{n}" for n, count in counts.items() for _ in range(count)]
    random.Random(1).shuffle(events)
    with open(name + ".tsv", "w", encoding="utf-8") as text:
        text.write("user\titem\ttime\n")
        for i, key in enumerate(events):
            text.write(f"u{i % 30}\t{key}\t{1000 + i}\n")
    subprocess.run([program, "prepare", f"--input={name}.tsv", f"--output={name}.h5"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_both(program):
    make_data(program, "source", SOURCE)
    make_data(program, "target", TARGET)


def train(program, ranks, data, run, *more, code=0):
    launcher = ["mpirun", "-q", "--bind-to", "none", "--oversubscribe", "-np", str(ranks)]
    given = {option.split("=")[0] for option in more}
    small = [option for option in SMALL if option.split("=")[0] not in given]
    result = subprocess.run(
        (launcher if ranks > 1 else []) +
        [program, "train", f"--data={data}.h5", f"--run={run}", *small, *more],
        capture_output=True, text=True, timeout=150)
    assert result.returncode == code, f"exit {result.returncode}, not {code}: {result.stderr}"
    return result.stderr


def weights(run, step):
    """By name: the values of all pieces together."""
    folder = f"{run}/checkpoints/step-{step:08d}"
    with open(f"{folder}/manifest.json", encoding="utf-8") as text:
        manifest = json.load(text)
    result = {}
    for shard in manifest["shards"]:
        with open(f"{folder}/{shard['file']}", "rb") as file:
            for piece in shard["pieces"]:
                name, part = piece["name"].rsplit("/", 1)
                if part != "weight":
                    continue
                values = result.setdefault(name, array.array("f", bytes(4 * piece["total"])))
                file.seek(piece["offset"])
                data = file.read(4 * (piece["end"] - piece["begin"]))
                values[piece["begin"]:piece["end"]] = array.array("f", data)
    return {name: values.tobytes() for name, values in result.items()}


def rows(table, keys):
    assert len(table) == 4 * WIDTH * len(keys)
    return {key: table[4 * WIDTH * i:4 * WIDTH * (i + 1)] for i, key in enumerate(keys)}


def items_go_by_key_and_all_else_by_name(program):
    make_both(program)
    train(program, 2, "source", "a", "--train.steps=30", "--model.tied=no")
    os.remove("source.h5")
    still = ("--train.steps=1", "--train.learning_rate=0", "--model.tied=no", "--train.seed=7")
    train(program, 3, "target", "fresh", *still)
    told = train(program, 3, "target", "b", "--train.init_from=a", *still)
    there, here, fresh = weights("a", 30), weights("b", 1), weights("fresh", 1)
    assert there.keys() == here.keys()
    for name in here:
        if not name.startswith("items"):
            assert here[name] == there[name], name
            continue
        before, after = rows(there[name], keys_of(SOURCE)), rows(here[name], keys_of(TARGET))
        initial = rows(fresh[name], keys_of(TARGET))
        for key, row in after.items():
            assert row == before.get(key, initial[key]), f"{name}, {key}"
    for text in ("starting from a at step 30", "12 of 16 items taken over by key, of 20 there",
                 "k23, k22, k21, k20"):
        assert text in told and text in open("b/log.txt", encoding="utf-8").read(), told


def resumed_without_the_source_is_bitwise_the_same(program):
    make_both(program)
    train(program, 1, "source", "a", "--train.steps=10")
    tuned = ("--train.steps=40", "--train.init_from=a", "--train.freeze=items,rnn.*",
             "--train.rate_scale=output.*:0.5", "--train.init_items=mean")
    train(program, 3, "target", "whole", *tuned)
    train(program, 3, "target", "parts", *tuned, "--train.stop_at_step=17",
          code=STOPPED_RESUMABLE)
    shutil.rmtree("a")
    train(program, 3, "target", "parts", *tuned)
    assert losses("whole") == losses("parts")
    assert sums("whole", 40) == sums("parts", 40)
    assert not [name for name, *_ in sums("whole", 40) if name in ("items/m", "items/v")]


def evaluated(program, data, run, *more):
    subprocess.run([program, "evaluate", f"--data={data}.h5", f"--run={run}", "--json=e.json",
                    *more], check=True, capture_output=True, timeout=150)
    with open("e.json", encoding="utf-8") as text:
        return json.load(text)


def masked_pretraining_is_tuned_to_the_next_item(program):
    make_both(program)
    model = ("--model.name=time_transformer", "--model.input=position,gap", "--model.heads=2")
    train(program, 2, "source", "masked", *model, "--model.objective=masked", "--train.steps=30")
    still = (*model, "--model.objective=next", "--train.learning_rate=0", "--train.steps=1")
    told = train(program, 3, "target", "still", *still, "--train.init_from=masked")
    there, here = weights("masked", 30), weights("still", 1)
    shared = [name for name in here if name in there]
    assert len(shared) > 10 and "12 of 16 items taken over by key" in told, told
    for name in shared:
        if not name.startswith("items"):
            assert here[name] == there[name], name
    train(program, 2, "target", "tuned", *model, "--model.objective=next", "--train.steps=30",
          "--train.evaluate_every=1", "--train.learning_rate=0.0003", "--train.init_from=masked")
    steps = losses("tuned")
    assert len(steps) == 30 and steps[30] < steps[1], steps
    assert evaluated(program, "target", "tuned", "--lists")["questions"] == 30


def an_encoder_goes_from_one_scene_to_the_other(program):
    random.seed(2)
    with open("both.tsv", "w", encoding="utf-8") as text:
        text.write("user\titem\ttime\tscene\n")
        for i in range(1200):
            user, scene = i % 40, random.choice(("tea", "nut"))
            text.write(f"u{user}\t{scene}{random.randrange(6) * 2 + user % 2}\t{i}\t{scene}\n")
    for scene in ("tea", "nut"):
        subprocess.run([program, "prepare", "--input=both.tsv", "--domain=scene", "--interests=2",
                        f"--keep-domain={scene}", f"--output={scene}.h5"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    model = ("--model.name=interest_transfer", "--model.input=item.interest", "--model.heads=2")
    train(program, 2, "tea", "source", *model, "--train.steps=30")
    told = train(program, 3, "nut", "tuned", *model, "--train.init_from=source",
                 "--train.freeze=rnn.*", "--train.rate_scale=attention.*:0.1", "--train.steps=20")
    assert "none of the items is there" in told, told
    there, here = weights("source", 30), weights("tuned", 20)
    for name in here:
        kept = here[name] == there[name]
        assert kept == name.startswith("rnn."), name
    within = evaluated(program, "nut", "tuned")["metrics"]["ndcg@10"]
    assert 0 < within <= 1


def what_cannot_be_is_one_line_and_a_code(program):
    make_both(program)
    train(program, 1, "source", "a", "--train.steps=3")
    os.mkdir("empty")
    for ranks, option, code, text in (
            (1, "--train.init_from=nowhere", CHECKPOINT, "there is no such run"),
            (2, "--train.init_from=empty", CHECKPOINT, "no good checkpoint in it"),
            (2, "--train.init_from=a/checkpoints/step-00000002", CHECKPOINT, "step-00000002"),
            (1, "--train.freeze=itms", USAGE, "did you mean 'items'?"),
            (2, "--train.rate_scale=rnn.*:0", USAGE, "the factor must be a number above 0")):
        told = train(program, ranks, "target", "b", "--train.steps=2", option, code=code)
        assert text in told and told.count("\n") == 1, told
    told = train(program, 2, "target", "b", "--train.steps=2", "--train.init_from=a",
                 "--model.width=8", code=CHECKPOINT)
    assert "nothing of it fits this model" in told and "[20, 16] there, [20, 8] wanted" in told
    assert not glob.glob("b/checkpoints/*")


CASES = {f.__name__: f for f in (
    items_go_by_key_and_all_else_by_name,
    resumed_without_the_source_is_bitwise_the_same,
    masked_pretraining_is_tuned_to_the_next_item,
    an_encoder_goes_from_one_scene_to_the_other,
    what_cannot_be_is_one_line_and_a_code,
)}


if __name__ == "__main__":
    cases.main(CASES)
