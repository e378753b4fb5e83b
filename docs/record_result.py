#!/usr/bin/env python3
"""Runs a command that writes JSON and keeps what it wrote, with where it came from, as
docs/results/NAME.json. docs/make_results.py makes docs/results.md of these files.

  docs/record_result.py ml-1m-seed1 --title "attention_rnn on MovieLens-1M" --seed 1 -- \\
    seqrank evaluate --run=runs/1 --data=ml-1m.h5 --baselines=popularity,markov --json={json}

{json} in the command becomes a temporary path. {json:KEY} may stand several times, under several
keys, and gives an object by key; then the command is most likely sh -c '... && ...'. A file may
also be JSON lines (metrics.jsonl), which become a list. Does not judge the numbers; writes nothing
when the command fails.

Paths are not kept: those below this repository are written relative to it, those below the folder
$SEQRANK_TEST_DATA by that name, other absolute ones as ".../file".

Where programs and this tree were carried without their repository, SEQRANK_COMMIT names the commit.
"""
import argparse
import datetime
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PLACEHOLDER = re.compile(r"\{json(?::([A-Za-z0-9_@.-]+))?\}")
# Results are no part of what is measured: several may be recorded before one commit.
NOT_MEASURED = [":(exclude)docs/results", ":(exclude)docs/results.md",
                ":(exclude)docs/performance.md", ":(exclude)docs/reliability.md"]


def git(*words):
    return subprocess.run(["git", "-C", ROOT, *words], check=True, capture_output=True,
                          text=True).stdout.strip()


def commit_and_changes():
    """The commit that is measured, and whether the working tree has changes that it lacks."""
    if "SEQRANK_COMMIT" in os.environ:
        return os.environ["SEQRANK_COMMIT"], False
    return (git("rev-parse", "--short", "HEAD"),
            bool(git("status", "--porcelain", "--", ".", *NOT_MEASURED)))


def gpus():
    """Models of the GPUs that the driver shows, nothing without a driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    told = subprocess.run([program, "--query-gpu=name", "--format=csv,noheader"], check=False,
                          capture_output=True, text=True)
    return {"gpus": told.stdout.split("\n")[:-1]} if told.returncode == 0 else {}


def machine():
    """Models of processor and GPUs, number of processors, memory. No names of hosts."""
    model, processors, memory = "", 0, 0
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            processors += key.strip() == "processor"
            if key.strip() == "model name":
                model = value.strip()
    with open("/proc/meminfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("MemTotal:"):
                memory = int(line.split()[1]) * 1024
    return {"processor": model, "processors": processors, "memory_bytes": memory, **gpus()}


def without_places(text):
    data = os.environ.get("SEQRANK_TEST_DATA")
    if data:
        text = text.replace(os.path.abspath(data) + "/", "$SEQRANK_TEST_DATA/")
    text = text.replace(ROOT + "/", "")
    return re.sub(r"(?<![\w.$}])/(?:[^\s'\"=:,;/]+/)+", ".../", text)


def cleaned(value):
    if isinstance(value, dict):
        return {key: cleaned(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [cleaned(entry) for entry in value]
    return without_places(value) if isinstance(value, str) else value


def read_json(path, key):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if not text.strip():
        sys.exit(f"record_result: the command wrote nothing to {{json{':' + key if key else ''}}}")
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line]


def to_text(value, indent=""):
    """JSON that diffs well: an entry a line, but lists of plain values and their objects whole."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        body = ",\n".join(f"{inner}{json.dumps(k)}: {to_text(v, inner)}" for k, v in value.items())
        return "{\n" + body + "\n" + indent + "}"
    if isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        body = ",\n".join(inner + json.dumps(entry) for entry in value)
        return "[\n" + body + "\n" + indent + "]"
    return json.dumps(value)


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the file below docs/results, without .json")
    parser.add_argument("--title", required=True, help="one line for people")
    parser.add_argument("--seed", type=int, action="append", default=[], help="may be repeated")
    parser.add_argument("--allow-dirty", action="store_true",
                        help="record from a changed working tree, and say so in the record")
    if "--" not in sys.argv:
        parser.error("the command comes after --")
    at = sys.argv.index("--")
    options, command = parser.parse_args(sys.argv[1:at]), sys.argv[at + 1:]
    if not re.fullmatch(r"[A-Za-z0-9_-]+", options.name):
        parser.error(f"{options.name}: letters, digits, - and _ only")
    keys = {match.group(1) for word in command for match in PLACEHOLDER.finditer(word)}
    if not keys:
        parser.error("the command holds no {json}")
    if None in keys and len(keys) > 1:
        parser.error("either {json} alone, or {json:KEY} everywhere")
    return options, command, sorted(keys, key=str)


def main():
    options, command, keys = parse()
    commit, dirty = commit_and_changes()
    if dirty and not options.allow_dirty:
        sys.exit("record_result: the working tree has changes that no commit holds; commit first, "
                 "or give --allow-dirty, which is written into the record")
    date = datetime.datetime.now(datetime.timezone.utc)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="seqrank-result-") as folder:
        path_of = {key: os.path.join(folder, f"{key or 'result'}.json") for key in keys}
        words = [PLACEHOLDER.sub(lambda m: path_of[m.group(1)], word) for word in command]
        begin = time.monotonic()
        code = subprocess.run(words, cwd=ROOT).returncode
        seconds = time.monotonic() - begin
        if code != 0:
            print(f"record_result: exit {code}, nothing recorded", file=sys.stderr)
            return code if code > 0 else 128 - code
        for key, path in path_of.items():
            if not os.path.exists(path):
                sys.exit(f"record_result: nothing was written to {{json{':' + key if key else ''}}}")
        read = {key: read_json(path, key) for key, path in path_of.items()}
    envelope = {
        "name": options.name,
        "title": options.title,
        "command": without_places(shlex.join(command)),
        "commit": commit,
        **({"changed_since_commit": True} if dirty else {}),
        "date": date.strftime("%Y-%m-%d"),
        "machine": machine(),
        "load_before": round(load, 1),
        "seed": options.seed[0] if len(options.seed) == 1 else options.seed,
        "seconds": round(seconds, 1),
        # Of the largest single process below this one, not of their sum.
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        "result": cleaned(read[None] if None in read else read),
    }
    path = os.path.join(ROOT, "docs", "results", options.name + ".json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        file.write(to_text(envelope) + "\n")
    os.replace(path + ".tmp", path)
    print(f"docs/results/{options.name}.json written; docs/make_results.py makes docs/results.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
