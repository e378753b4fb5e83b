#!/usr/bin/env python3
"""Long test (L3) of `seqrank prepare`: 50 million shuffled lines, 10 million users, 5 million items,
keys of 36 characters, under --memory 256M. Records peak resident size and lines/s as JSON; fails
when a count is wrong or memory exceeds the limit by more than the 4-byte counters.

  cmake --build --preset cpu --target seqrank generate_lines
  tests/long/prepare_50m.py --build build/cpu --work /tmp --json docs/results/prepare-50m.json

Needs 16 GB of disk in --work, two cores, some minutes.
"""
import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def machine():
    with open("/proc/cpuinfo") as cpuinfo:
        model = next((l.split(":")[1].strip() for l in cpuinfo if l.startswith("model name")), "")
    return f"{os.cpu_count()} x {model or platform.machine()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/cpu")
    parser.add_argument("--work", default=tempfile.gettempdir())
    parser.add_argument("--json", required=True)
    parser.add_argument("--lines", type=int, default=50_000_000)
    parser.add_argument("--users", type=int, default=10_000_000)
    parser.add_argument("--items", type=int, default=5_000_000)
    parser.add_argument("--memory", type=int, default=256, help="MiB")
    options = parser.parse_args()

    work = tempfile.mkdtemp(prefix="seqrank-prepare-50m-", dir=options.work)
    try:
        lines = os.path.join(work, "lines.csv")
        with open(lines, "wb") as out:
            subprocess.run([os.path.join(options.build, "tests/data/generate_lines"),
                            str(options.lines), str(options.users), str(options.items)],
                           stdout=out, check=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        report = os.path.join(work, "report.json")
        command = [os.path.join(options.build, "launch/seqrank"), "prepare", f"--input={lines}",
                   f"--output={work}/out.h5", f"--memory={options.memory}M", f"--json={report}"]
        load = os.getloadavg()[0]
        subprocess.run(command, check=True)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        with open(report) as file:
            made = json.load(file)
        result = {
            "command": " ".join(command).replace(work, "DIR").replace(options.build, "build/cpu"),
            "commit": output_of("git", "rev-parse", "--short", "HEAD"),
            "machine": machine(),
            "load_before": round(load, 1),
            "lines": made["lines"], "users": made["users"], "items": made["items"],
            "events": made["events"],
            "input_bytes": os.path.getsize(lines),
            "output_bytes": os.path.getsize(os.path.join(work, "out.h5")),
            "memory_limit": options.memory << 20,
            "counter_bytes": made["counter_bytes"],
            "peak_rss_bytes": max(usage.ru_maxrss, before.ru_maxrss) << 10,
            "seconds": round(made["seconds"], 1),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime - before.ru_utime
                                 - before.ru_stime, 1),
            "lines_per_s": round(made["lines_per_second"]),
            "temp_bytes": made["temp_bytes"],
        }
    finally:
        shutil.rmtree(work)
    with open(options.json, "w") as file:
        json.dump(result, file, indent=2)
        file.write("\n")
    print(json.dumps(result, indent=2))
    wanted = {"lines": options.lines, "users": options.users, "items": options.items,
              "events": options.lines}
    for name, value in wanted.items():
        if result[name] != value:
            sys.exit(f"{name}: {result[name]}, expected {value}")
    if result["peak_rss_bytes"] > result["memory_limit"] + result["counter_bytes"]:
        sys.exit("peak_rss_bytes is above memory_limit + counter_bytes")


if __name__ == "__main__":
    main()
