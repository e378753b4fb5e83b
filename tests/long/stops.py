#!/usr/bin/env python3
"""Fifty stops of each kind in each phase, to one rank and to all, and to mpirun; without a hang.

  tests/long/stops.py PROGRAM [--trials=50] [--json=FILE] [--lanes=2]

About forty minutes on two cores. Each trial is one of tests/launch/stop_trials.py: exit 75 and one
good checkpoint of the last step, which is resumed; of TERM and INT to mpirun: the last committed
checkpoint is valid. Ends with 1 when one fails, after all have been made; their folders stay.
"""
import argparse
import concurrent.futures
import json
import os
import random
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests/launch")
import stop_trials as trials  # noqa: E402


def all_series():
    """(name, trial): trial(program, number, run) -> seconds."""
    for kind in trials.KINDS:
        for phase in trials.PHASES:
            for whom in ("one rank", "all ranks") if kind in trials.SIGNALS else ("",):
                yield (kind, phase, whom), lambda program, number, run, k=kind, p=phase, w=whom: (
                    trials.stop(program, k, p, w == "all ranks", number, run))
    for kind in ("TERM", "INT"):
        yield (kind, "any", "mpirun"), lambda program, number, run, k=kind: (
            trials.stop_launcher(program, k, random.Random(number).uniform(0, 1.5), run))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--json")
    parser.add_argument("--lanes", type=int, default=2, help="trials at a time")
    given = parser.parse_args()
    program = os.path.abspath(given.program)
    where = os.path.abspath(given.json) if given.json else None
    if os.getuid() == 0:
        os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    version = subprocess.run([program, "--version"], check=True, capture_output=True,
                             text=True).stdout.strip()
    os.chdir(tempfile.mkdtemp(prefix="seqrank-stops-"))
    trials.make_data(program)
    results, failures = [], []
    with concurrent.futures.ThreadPoolExecutor(given.lanes) as lanes:
        for name, trial in all_series():
            runs = ["-".join(name).replace(" ", "_") + f"-{n}" for n in range(given.trials)]
            waiting = {lanes.submit(trial, program, n, run): run for n, run in enumerate(runs)}
            seconds, failed = [], []
            for done, run in waiting.items():
                try:
                    seconds.append(done.result())
                    subprocess.run(["rm", "-rf", run, f"{run}.log"], check=True)
                except Exception as error:  # any failure is one of this trial
                    failed.append(f"{run}: {error}")
            kind, phase, whom = name
            results.append({"kind": kind, "phase": phase, "to": whom, "trials": given.trials,
                            "good": len(seconds),
                            "seconds_median": sorted(seconds)[len(seconds) // 2] if seconds else None,
                            "seconds_longest": max(seconds, default=None), "failed": failed})
            print(f"{kind:10} {phase:10} {whom:10} {len(seconds)} of {given.trials} good, "
                  f"longest {max(seconds, default=0):.1f} s", flush=True)
            for line in failed:
                print("  ", line, flush=True)
            failures += failed
    if where:
        with open(where, "w", encoding="utf-8") as file:
            json.dump({"version": version, "series": results}, file, indent=2)
    print(f"{len(failures)} of {sum(r['trials'] for r in results)} trials failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
