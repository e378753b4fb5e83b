#!/usr/bin/env python3
"""The program on CUDA devices, against itself on the CPU, and without a device.

  device_runs_test.py --list                names of the cases
  device_runs_test.py PROGRAM CASE          runs one
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases
from training import SMALL, losses, make_data

DEVICE, SKIPPED = 4, 77


def train(program, run, ranks, *more, **environment):
    launcher = ["mpirun", "-q", "-np", str(ranks)] if ranks > 1 else []
    return subprocess.run([*launcher, program, "train", "--data=data.h5", f"--run={run}",
                           "--threads=1", *SMALL, *more], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})


def need_a_device(program):
    tried = train(program, "tried", 1, "--train.steps=1", "--device=cuda")
    if tried.returncode == DEVICE:
        print(tried.stderr)
        sys.exit(SKIPPED)


def expect_losses_as_on_the_cpu(program, tolerance, *on_device):
    make_data(program)
    need_a_device(program)
    for run, more in (("cpu", ["--device=cpu"]), ("cuda", ["--device=cuda", *on_device])):
        done = train(program, run, 2, "--train.steps=100", *more)
        assert done.returncode == 0, done.stderr
    cpu, cuda = losses("cpu"), losses("cuda")
    assert sorted(cpu) == sorted(cuda) == list(range(1, 101)), sorted(cuda)
    worst = max(abs(cuda[step] / cpu[step] - 1) for step in cpu)
    print(f"largest relative difference {worst:.1e}")
    assert worst <= tolerance, f"{worst} > {tolerance}"


def two_ranks_have_the_losses_of_the_cpu(program):
    expect_losses_as_on_the_cpu(program, 1e-3, "--exchange=staged")


def two_ranks_in_bf16_have_the_losses_of_the_cpu_nearly(program):
    expect_losses_as_on_the_cpu(program, 1e-2, "--exchange=staged", "--train.precision=bf16")


def evaluates_alike(program):
    make_data(program)
    need_a_device(program)
    assert train(program, "run", 1, "--train.steps=20", "--device=cpu").returncode == 0
    found = []
    for device in ("cpu", "cuda"):
        subprocess.run([program, "evaluate", "--run=run", "--data=data.h5", "--json=e.json",
                        "--baselines=popularity,markov", f"--device={device}"],
                       check=True, stdout=subprocess.DEVNULL)
        with open("e.json", encoding="utf-8") as text:
            first = json.load(text)
        found.append([e["metrics"] for e in [first] + first["baselines"]])
    # A score that rounds otherwise may change a rank: of 300 people, two.
    for cpu, cuda in zip(*found, strict=True):
        assert all(abs(cpu[name] - cuda[name]) <= 2 / 300 for name in cpu), (cpu, cuda)


# In a program without CUDA, without a driver, or with no device to see.
def without_a_device(program):
    make_data(program)
    hidden = {"CUDA_VISIBLE_DEVICES": "", "SEQRANK_EMULATED": "devices=0"}
    refused = train(program, "refused", 1, "--train.steps=1", "--device=cuda", **hidden)
    assert refused.returncode == DEVICE, (refused.returncode, refused.stderr)
    lines = [line for line in refused.stderr.splitlines() if line.startswith("seqrank:")]
    assert len(lines) == 1 and "--device=cpu" in lines[0], refused.stderr
    assert not os.path.exists("refused"), "something was written"
    done = train(program, "auto", 1, "--train.steps=1", "--device=auto", **hidden)
    assert done.returncode == 0, done.stderr
    assert list(losses("auto")) == [1]
    told = [line for line in done.stderr.splitlines() if "computing on the CPU" in line]
    assert len(told) <= 1, done.stderr


# A plan needs a program that was built with CUDA, and no device.
def plans_the_memory_that_it_takes(program):
    make_data(program)
    hidden = {"CUDA_VISIBLE_DEVICES": "", "SEQRANK_EMULATED": "devices=0"}
    planned = train(program, "planned", 1, "--train.steps=20", "--device=cuda", "--dry-run",
                    "--json=plan.json", **hidden)
    if planned.returncode == DEVICE:
        assert planned.stderr.count("\n") == 1 and "built without CUDA" in planned.stderr, planned
        print(planned.stderr)
        sys.exit(SKIPPED)
    assert planned.returncode == 0 and not os.path.exists("planned"), planned
    need_a_device(program)
    few = train(program, "few", 1, "--train.steps=20", "--device=cuda", "--memory=100K")
    assert few.returncode == DEVICE and "may take 100 KiB" in few.stderr, few
    taken = train(program, "run", 1, "--train.steps=20", "--device=cuda", "--json=taken.json")
    assert taken.returncode == 0, taken
    with open("plan.json", encoding="utf-8") as plan, open("taken.json", encoding="utf-8") as run:
        plan, run = json.load(plan), json.load(run)
    ratio = plan["total_bytes"] / sum(run["peak_bytes"].values())
    assert abs(ratio - 1) < 0.1, (plan, run)


CASES = {f.__name__: f for f in (two_ranks_have_the_losses_of_the_cpu,
                                 two_ranks_in_bf16_have_the_losses_of_the_cpu_nearly,
                                 evaluates_alike, without_a_device,
                                 plans_the_memory_that_it_takes)}

if __name__ == "__main__":
    cases.main(CASES)
