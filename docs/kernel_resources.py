#!/usr/bin/env python3
"""Registers, shared memory and spills of every CUDA kernel, as ptxas tells them: compiles each .cu
of a build folder once more with -Xptxas -v and writes JSON. Needs nvcc, no GPU.

  docs/kernel_resources.py build/cuda --json kernels.json

Shared memory is what a kernel declares; what a launch asks for on top is not known here.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

ENTRY = re.compile(r"Compiling entry function '(\S+)' for 'sm_(\d+)'")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")


def told_by_ptxas(entry):
    """Of one .cu: what ptxas says, compiled as the build compiles it."""
    words = shlex.split(entry["command"])
    nvcc = next(i for i, word in enumerate(words) if os.path.basename(word) == "nvcc")
    words = words[nvcc:]
    with tempfile.TemporaryDirectory() as folder:
        words[words.index("-o") + 1] = os.path.join(folder, "kernel.o")
        result = subprocess.run(words + ["-Xptxas", "-v"], cwd=entry["directory"],
                                capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{entry['file']}: {result.stderr}")
    return result.stderr


def kernels_in(text, path):
    kernels = []
    for line in text.splitlines():
        if entry := ENTRY.search(line):
            kernels.append({"file": path, "kernel": entry[1], "sm": int(entry[2])})
        elif kernels and (spills := SPILLS.search(line)):
            kernels[-1].update(zip(("stack_bytes", "spill_store_bytes", "spill_load_bytes"),
                                   map(int, spills.groups())))
        elif kernels and (used := USED.search(line)):
            shared = SHARED.search(line)
            kernels[-1].update(registers=int(used[1]), shared_bytes=int(shared[1]) if shared else 0)
    return kernels


def readable(names):
    shown = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True,
                           check=True).stdout.splitlines()
    strip = r"^void |seqrank::cuda::|\(anonymous namespace\)::|seqrank::|_INTERNAL\w+::"
    return [re.sub(strip, "", name) for name in shown]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", help="folder of the preset cuda, configured")
    parser.add_argument("--json", required=True)
    args = parser.parse_args()
    with open(os.path.join(args.build, "compile_commands.json"), encoding="utf-8") as file:
        entries = [e for e in json.load(file) if e["file"].endswith(".cu")]
    if not entries:
        sys.exit(f"{args.build}: no kernels are built there; configure with --preset cuda")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        texts = list(pool.map(told_by_ptxas, entries))
    kernels = [kernel for entry, text in zip(entries, texts)
               for kernel in kernels_in(text, os.path.relpath(entry["file"], root))]
    for kernel, name in zip(kernels, readable([k["kernel"] for k in kernels])):
        kernel["kernel"] = name
    release = subprocess.run(["nvcc", "--version"], capture_output=True, text=True).stdout
    version = re.search(r"release (\S+),", release)
    with open(args.json, "w", encoding="utf-8") as file:
        json.dump({"nvcc": version[1] if version else "?", "kernels": kernels}, file, indent=1)


if __name__ == "__main__":
    main()
