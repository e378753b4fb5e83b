#!/usr/bin/env python3
"""Plans again the memory of trainings that were recorded on a GPU, and writes what was planned
beside what their arenas took. Needs a program with CUDA and the data sets, no GPU.

  docs/compare_plans.py build/cuda/launch/seqrank FOLDER_OF_DATA --json plans.json

A configuration is read as it was at the commit that was measured. Of several seeds the first that
was recorded with its JSON.
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Of the machine that it ran on, or where it wrote to.
LEFT_OUT = ("--data=", "--run=", "--json=", "--rendezvous=", "--config=")


def recorded():
    """(name, envelope) of the trainings on GPUs, one of each kind."""
    found = {}
    for file in sorted(glob.glob(os.path.join(ROOT, "docs", "results", "*.json"))):
        with open(file, encoding="utf-8") as text:
            envelope = json.load(text)
        result = envelope.get("result")
        train = result.get("train") if isinstance(result, dict) else None
        if "gpus" in envelope.get("machine", {}) and isinstance(train, dict) and "peak_bytes" in train:
            found.setdefault(re.sub(r"-seed\d+$", "", os.path.basename(file)[:-5]), envelope)
    return sorted(found.items())


def plan(program, data, envelope, folder):
    """What --dry-run writes for the training of a record."""
    words = re.search(r"seqrank train (.*?) &&", envelope["command"]).group(1).split()
    given = dict(word.split("=", 1) for word in words)
    config = os.path.join(folder, "config.ini")
    with open(config, "wb") as text:
        text.write(subprocess.run(
            ["git", "-C", ROOT, "show", f"{envelope['commit']}:{given['--config']}"], check=True,
            capture_output=True).stdout)
    output = os.path.join(folder, "plan.json")
    command = [program, "train", f"--config={config}", f"--run={folder}/run", f"--json={output}",
               f"--data={os.path.join(data, os.path.basename(given['--data']))}", "--dry-run",
               "--memory=1024G"] + [word for word in words if not word.startswith(LEFT_OUT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with open(output, encoding="utf-8") as text:
        return json.load(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("program")
    parser.add_argument("data", help="folder of the data sets")
    parser.add_argument("--json", required=True)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, envelope in recorded():
            train = envelope["result"]["train"]
            rows.append({"record": name, "gpu": envelope["machine"]["gpus"][0],
                         "planned_bytes": plan(given.program, given.data, envelope,
                                               folder)["peak_bytes"],
                         "taken_bytes": train["peak_bytes"]})
    with open(given.json, "w", encoding="utf-8") as text:
        json.dump({"rows": rows}, text, indent=1)
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
