#!/usr/bin/env python3
"""Every configuration of a model in launch/configs/ trains a few steps, on a small data set that has
all they may ask for: times, actions, labels, items' interests.

  configs_test.py --list               names of the cases, one a configuration
  configs_test.py PROGRAM CASE         runs one
"""
import glob
import json
import math
import os
import random
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONFIGS = os.path.join(ROOT, "launch", "configs")


def cases():
    for path in sorted(glob.glob(os.path.join(CONFIGS, "*.ini"))):
        with open(path, encoding="utf-8") as config:
            if "[model]" in config.read():
                yield os.path.splitext(os.path.basename(path))[0]


def run(words):
    result = subprocess.run(words, capture_output=True, text=True, timeout=150)
    assert result.returncode == 0, f"exit {result.returncode}: {result.stdout}{result.stderr}"
    return result.stdout


def make_data(program):
    draw = random.Random(1)
    with open("events.csv", "w", encoding="utf-8") as events:
        events.write("user,item,timestamp,action,label\n")
        for user in range(40):
            for place in range(12):
                events.write(f"u{user},i{draw.randrange(60)},{1000000 + 5000 * place + user},"
                             f"{draw.choice(['view', 'buy'])},{draw.randrange(2)}\n")
    run([program, "prepare", "--input=events.csv", "--action=action", "--label=label",
         "--interests=3", "--output=data.h5"])


def main():
    if sys.argv[1:] == ["--list"]:
        print(";".join(cases()), end="")
        return
    program, case = os.path.abspath(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        make_data(program)
        run([program, "train", f"--config={CONFIGS}/{case}.ini", "--data=data.h5", "--run=run",
             "--train.steps=3", "--train.batch=4", "--threads=1"])
        run([program, "evaluate", "--run=run", "--data=data.h5", "--threads=1", "--json=told.json"])
        with open("told.json", encoding="utf-8") as told:
            told = json.load(told)
        assert told["questions"] > 0 and told["metrics"], told
        assert all(math.isfinite(value) for value in told["metrics"].values()), told
        os.chdir("/")


if __name__ == "__main__":
    main()
