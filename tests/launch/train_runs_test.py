#!/usr/bin/env python3
"""Trains with the real program under the real mpirun, on a small synthetic data set.

  train_runs_test.py --list               names of the cases
  train_runs_test.py PROGRAM CASE         runs one; exit 77 = skipped, with the reason
"""
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases
from training import SMALL, STOPPED_RESUMABLE, losses, make_data, sums

DEVICE, SKIPPED = 4, 77
MPIRUN = ["mpirun", "-q", "--bind-to", "none", "--oversubscribe"]


def train_command(program, ranks, run, *more):
    launcher = MPIRUN + ["-np", str(ranks)] if ranks > 1 else []
    return launcher + [program, "train", "--data=data.h5", f"--run={run}", *SMALL, *more]


def train(program, ranks, run, *more, code=0):
    result = subprocess.run(train_command(program, ranks, run, *more), capture_output=True,
                            text=True, timeout=150)
    assert result.returncode == code, f"exit {result.returncode}, not {code}: {result.stderr}"


def equal_loss_on_1_2_and_4_ranks(program):
    make_data(program)
    curves = {}
    for ranks in (1, 2, 4):
        train(program, ranks, f"run{ranks}", "--train.steps=200")
        curves[ranks] = losses(f"run{ranks}")
        assert sorted(curves[ranks]) == list(range(1, 201))
    assert curves[1][200] < 0.95 * curves[1][1], "nothing was learnt"
    for ranks in (2, 4):
        worst = max(abs(curves[ranks][s] / curves[1][s] - 1) for s in curves[1])
        assert worst <= 1e-5, f"{ranks} ranks: {worst}"


def split_tables_have_the_losses_of_whole_ones(program):
    make_data(program)
    negatives = ["--loss.kind=sampled_softmax", "--loss.negatives=20"]
    worlds = ((2, "node"), (4, "2"), (7, "all"))
    for name, of_loss, those in (("softmax", [], worlds), ("negatives", negatives, worlds[:2])):
        train(program, 1, f"{name}-whole", "--train.steps=100", *of_loss)
        whole = losses(f"{name}-whole")
        for ranks, group in those:
            run = f"{name}-{ranks}"
            train(program, ranks, run, "--train.steps=100", "--table.split=yes",
                  f"--table.group={group}", *of_loss)
            split = losses(run)
            assert sorted(split) == sorted(whole)
            worst = max(abs(split[s] / whole[s] - 1) for s in whole)
            assert worst <= 1e-5, f"{name}, {ranks} ranks in groups of {group}: {worst}"


def stopped_after_100_and_resumed_is_bitwise_the_same(program):
    make_data(program)
    train(program, 2, "whole", "--train.steps=200")
    train(program, 2, "parts", "--train.steps=200", "--train.stop_at_step=100",
          code=STOPPED_RESUMABLE)
    train(program, 2, "parts", "--train.steps=200")
    assert losses("whole") == losses("parts")
    assert sums("whole", 200) == sums("parts", 200)


def usr1_to_mpirun_saves_and_ends_with_75(program):
    make_data(program)
    process = subprocess.Popen(train_command(program, 2, "run", "--train.steps=1000000"),
                               stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.time() + 60
    while not (os.path.exists("run/metrics.jsonl") and os.path.getsize("run/metrics.jsonl") > 2000):
        assert process.poll() is None and time.time() < deadline, "training did not start"
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=60) == STOPPED_RESUMABLE
    manifests = glob.glob("run/checkpoints/*/manifest.json")
    assert len(manifests) == 1, manifests
    last = max(losses("run"))
    train(program, 2, "run", f"--train.steps={last + 10}")
    assert sorted(losses("run")) == list(range(1, last + 11))


def rank_killed_in_a_save_then_resume_is_bitwise_the_same(program):
    make_data(program)
    train(program, 2, "whole", "--train.steps=120", "--train.save_every=30")
    killed = subprocess.run(
        train_command(program, 2, "parts", "--train.steps=120", "--train.save_every=30",
                      "--train.fault=checkpoint.after_shard_fsync:rank=1:kill"),
        capture_output=True, timeout=60)
    assert killed.returncode not in (0, STOPPED_RESUMABLE), killed
    assert not glob.glob("parts/checkpoints/*/manifest.json")
    train(program, 2, "parts", "--train.steps=120", "--train.save_every=30")
    assert losses("whole") == losses("parts")
    assert sums("whole", 120) == sums("parts", 120)


def ten_lines_of_h5py_train(program):
    try:
        import h5py
        import numpy
    except ImportError:
        print("skipped: python3-h5py is not installed")
        sys.exit(SKIPPED)
    with h5py.File("data.h5", "w") as file:
        rows = [numpy.arange(i, i + 5 + i % 7) % 40 for i in range(100)]
        file.attrs["schema_version"] = 1
        file["sequence/offset"] = numpy.cumsum([0] + [len(r) for r in rows])
        file["event/item"] = numpy.concatenate(rows)
    train(program, 1, "run", "--train.steps=50")
    curve = losses("run")
    assert curve[50] < curve[1]


def dry_run_tells_the_memory_that_a_run_takes(program):
    make_data(program)
    dry = train_command(program, 1, "run", "--train.epochs=2", "--dry-run", "--json=plan.json")
    told = subprocess.run([*dry, "--ranks=2"], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0 and "a rank of 2 takes at most" in told.stdout, told
    assert "of one host, by its 2 ranks" in told.stdout, told
    assert not os.path.exists("run"), "a dry run wrote something"
    train(program, 2, "run", "--train.epochs=2", "--json=taken.json")
    with open("plan.json", encoding="utf-8") as plan, open("taken.json", encoding="utf-8") as taken:
        plan, taken = json.load(plan), json.load(taken)
    together = sum(taken["peak_bytes"].values()) + taken["checkpoint_bytes"]
    assert abs(plan["total_bytes"] / together - 1) < 0.1, (plan, taken)

    subprocess.run(dry, check=True, capture_output=True, timeout=60)
    with open("plan.json", encoding="utf-8") as plan:
        memory = f"--memory={json.load(plan)['total_bytes'] * 2 // 3}"
    few = subprocess.run([*dry, memory], capture_output=True, text=True, timeout=60)
    assert few.returncode == DEVICE and "it would fit with --train.batch=" in few.stderr, few
    batch = few.stderr.split("--train.batch=")[1].split()[0]
    less = [f"--train.batch={batch}" if word.startswith("--train.batch=") else word for word in dry]
    fits = subprocess.run([*less, memory], capture_output=True, text=True, timeout=60)
    assert fits.returncode == 0, fits


def too_little_memory_is_refused_with_what_would_fit(program):
    """Before anything is there; and what is named fits."""
    subprocess.run([program, "synth", "--items=100000", "--sequences=300", "--length=20",
                    "--clusters=8", "--output=data.h5"], check=True, stdout=subprocess.DEVNULL)
    few = ["--train.epochs=1", "--threads=1", "--memory=28M"]
    for ranks in (1, 2):
        refused = subprocess.run(train_command(program, ranks, "run", *few), capture_output=True,
                                 text=True, timeout=120)
        lines = refused.stderr.splitlines()
        assert refused.returncode == DEVICE and len(lines) == 1, refused
        assert "may take 28 MiB; it would fit with " in lines[0], lines
        assert not os.path.exists("run/checkpoints"), "a refused run wrote something"
        needed = int(lines[0].split(" ranks and --table.split=yes")[0].split()[-1])
        for more, code in ((needed, 0), (needed - 1, DEVICE)):
            dry = train_command(program, 1, "none", *few, "--dry-run", "--table.split=yes",
                                f"--ranks={more}")
            done = subprocess.run(dry, capture_output=True, text=True, timeout=120)
            assert done.returncode == code, (more, done)
        last = lines[0].split(" or ")[-1].split(" and ")
        assert last[0] == "--loss.kind=sampled_softmax", lines
        train(program, ranks, f"fits{ranks}", *few, *last)


def ranks_of_one_host_share_its_memory(program):
    """A rank would fit, all of them would not; and what is named fits."""
    subprocess.run([program, "synth", "--items=100000", "--sequences=300", "--length=20",
                    "--clusters=8", "--output=data.h5"], check=True, stdout=subprocess.DEVNULL)

    def dry_run(ranks, *more):
        dry = [program, "train", "--data=data.h5", "--run=none", "--model.width=256",
               "--train.evaluate_every=0", "--table.split=no", f"--ranks={ranks}", "--dry-run",
               "--json=plan.json", *more]
        return subprocess.run(dry, capture_output=True, text=True, timeout=120)

    dry_run(64)
    with open("plan.json", encoding="utf-8") as plan:
        plan = json.load(plan)
    ranks = plan["host_available_bytes"] * 4 // (plan["host_bytes"] // 64)
    refused = dry_run(ranks)
    assert refused.returncode == DEVICE and refused.stderr.count("\n") == 1, refused
    assert f"{ranks} ranks on one host would take " in refused.stderr, refused
    fewer = int(refused.stderr.rsplit(" ranks", 1)[0].split()[-1])
    assert 1 < fewer < ranks, refused
    assert dry_run(fewer // 2).returncode == 0, fewer  # others may take memory meanwhile
    elsewhere = dry_run(ranks, "--memory=64G")
    assert elsewhere.returncode == 0, elsewhere


def peak_bytes_of(command):
    """Of the whole process: tensors, and all else that it had at once."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, (status, command)
    return usage.ru_maxrss * 1024


def a_plan_tells_what_the_process_takes(program):
    """By how much it takes more for a larger catalogue, of which narrow tables leave no doubt what
    else grows with it."""
    # Block by block: what this process has had at once counts as its children's, too.
    with open(program, "rb") as binary:
        for block in iter(lambda: binary.read(1 << 20), b""):
            if re.search(b"__[at]san_", block):
                print("skipped: sanitizers have memory of their own")
                sys.exit(SKIPPED)
    planned, taken = [], []
    for items in (1000, 3000000):
        subprocess.run([program, "synth", f"--items={items}", "--sequences=300", "--length=20",
                        "--clusters=8", f"--output={items}.h5"], check=True,
                       stdout=subprocess.DEVNULL)
        train_it = [program, "train", "--model.name=sasrec", f"--data={items}.h5",
                    f"--run=run{items}", "--device=cpu", "--threads=1", "--model.width=8",
                    "--loss.kind=sampled_softmax", "--loss.sampler=frequency",
                    "--loss.negatives=256", "--table.optimiser=rowwise_adagrad",
                    "--train.batch=16", "--train.steps=5", "--train.evaluate_every=0"]
        subprocess.run([*train_it, "--dry-run", "--json=plan.json"], check=True,
                       stdout=subprocess.DEVNULL)
        with open("plan.json", encoding="utf-8") as plan:
            planned.append(json.load(plan)["total_bytes"])
        taken.append(peak_bytes_of(train_it))
    ratio = (planned[1] - planned[0]) / (taken[1] - taken[0])
    assert abs(ratio - 1) < 0.1, (ratio, planned, taken)


CASES = {f.__name__: f for f in (
    equal_loss_on_1_2_and_4_ranks,
    split_tables_have_the_losses_of_whole_ones,
    stopped_after_100_and_resumed_is_bitwise_the_same,
    usr1_to_mpirun_saves_and_ends_with_75,
    rank_killed_in_a_save_then_resume_is_bitwise_the_same,
    ten_lines_of_h5py_train,
    dry_run_tells_the_memory_that_a_run_takes,
    too_little_memory_is_refused_with_what_would_fit,
    ranks_of_one_host_share_its_memory,
    a_plan_tells_what_the_process_takes,
)}


if __name__ == "__main__":
    cases.main(CASES)
