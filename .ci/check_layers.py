#!/usr/bin/env python3
"""Checks who may know whom: docs/ARCHITECTURE.md, said as absences.

Errors: an include against the direction backend <- {collective, data} <- models <- trainer <-
launch; a vendor's header outside its place; reading the environment below launch/; OpenMP pragmas
outside backend/cpu. Warnings: files longer than they should be. Exit 1 on an error.
"""
import re
import subprocess
import sys

FOLDERS = ("backend", "collective", "data", "models", "trainer", "launch")

MAY_INCLUDE = {
    "backend": {"backend"},
    "collective": {"collective", "backend"},
    "data": {"data", "backend"},
    "models": {"models", "backend", "data"},
    "trainer": {"trainer", "models", "data", "collective", "backend"},
    "launch": set(FOLDERS),
}
MODELS_FROM_DATA = {"data/batch.h"}

# Header -> where it may be included, as a pattern of paths. The emulated device of the tests stands
# in for the vendors and may know them all.
VENDORS = {
    r"(cuda|cublas|cudnn|curand).*": r"backend/cuda/",
    r"(oneapi/.*|dnnl.*)\.(h|hpp)": r"backend/(cpu|cuda)/",
    r"omp\.h": r"(backend/|collective/thread)",
    r"nccl.*": r"collective/nccl",
    r"mpi\.h": r"collective/mpi",
    r"(google/protobuf/.*|boost/crc\.hpp)": r"trainer/event_file",
    r"(hdf5|H5.*)\.h(pp)?": r"(data/hdf5|trainer/checkpoint)",
}
LONGEST = {".h": 200, ".cc": 300, ".cu": 500}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def tracked_sources():
    listed = subprocess.run(["git", "ls-files", "*.cc", "*.h", "*.cu", "*.cuh"],
                            stdout=subprocess.PIPE, text=True).stdout.split()
    if not listed:
        sys.exit("check_layers: git lists no sources here, see above")
    return [path for path in listed if path.split("/")[0] in FOLDERS + ("tests",)]


def include_error(path, quote, name):
    folder, target = path.split("/")[0], name.split("/")[0]
    for header, places in VENDORS.items():
        if re.fullmatch(header, name) and quote == "<":
            if not re.match(r"tests/support/emulated/|(tests/)?" + places, path):
                return f"<{name}> belongs in {places}"
            return None
    if folder == "tests" or target not in FOLDERS:
        return None
    if target not in MAY_INCLUDE[folder]:
        return f"{folder} must not know {target} ({name})"
    if folder == "models" and target == "data" and name not in MODELS_FROM_DATA:
        return f"models may include only data/batch.h from data, not {name}"
    return None


def line_error(path, line):
    match = INCLUDE.match(line)
    if match:
        return include_error(path, *match.groups())
    code = line.split("//")[0]
    folder = path.split("/")[0]
    if re.search(r"\b(secure_)?getenv\s*\(", code) and folder not in ("launch", "tests"):
        return "reads the environment; only launch/ does, and passes options down"
    if re.match(r"\s*#\s*pragma\s+omp\b", code) and not path.startswith("backend/cpu/"):
        return "#pragma omp belongs in backend/cpu"
    return None


def main():
    errors, warnings, files = [], [], tracked_sources()
    for path in files:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        for number, line in enumerate(lines, 1):
            error = line_error(path, line)
            if error:
                errors.append(f"{path}:{number}: {error}")
        limit = LONGEST.get(path[path.rfind("."):])
        if limit and len(lines) > limit and not path.startswith("tests/"):
            warnings.append(f"{path}: {len(lines)} lines, {limit} is a reason to split")
    for warning in warnings:
        print("warning:", warning)
    for error in errors:
        print("error:", error)
    print(f"{len(files)} files: {len(errors)} errors, {len(warnings)} warnings")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
