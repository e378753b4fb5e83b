#!/usr/bin/env python3
"""A model is one file: a copy of models/sasrec.cc with another class and name is all it takes.

  new_model_test.py --list                       names of the cases
  new_model_test.py PROGRAM CASE SOURCE BUILD    runs one

The copy lies in a copy of the sources, which is configured as BUILD is. Of it only that one file is
compiled; it is linked with what BUILD has made already.
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases
from training import SMALL, losses, make_data

OBJECT = "models/CMakeFiles/seqrank_models.dir/new_model.cc.o"
KEPT = ("CMAKE_BUILD_TYPE", "CMAKE_CXX_FLAGS", "CMAKE_CXX_FLAGS_RELWITHDEBINFO",
        "CMAKE_CXX_COMPILER", "CMAKE_PREFIX_PATH", "SEQRANK_MARCH", "SEQRANK_SANITIZE",
        "SEQRANK_CUDA", "SEQRANK_CUDA_ROOT")


def call(*command, **more):
    result = subprocess.run(command, capture_output=True, text=True, **more)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


def as_configured(build):
    with open(f"{build}/CMakeCache.txt", encoding="utf-8") as cache:
        entries = [line.rstrip("\n") for line in cache if line.startswith(KEPT)]
    return [f"-D{entry}" for entry in entries if entry.split(":")[0] in KEPT]


def copy_with_one_more_model(source):
    shutil.copytree(source, "source", ignore=shutil.ignore_patterns("build", ".git", "runs"))
    with open("source/models/sasrec.cc", encoding="utf-8") as text:
        copied = text.read().replace("SasRec", "NewModel").replace('"sasrec"', '"new_model"')
    with open("source/models/new_model.cc", "w", encoding="utf-8") as text:
        text.write(copied)


def link(build, program):
    """As BUILD links the program, with one object more."""
    last = call("ninja", "-C", build, "-t", "commands", "seqrank").splitlines()[-1]
    made = "-o launch/seqrank "
    assert made in last, last
    more = f"{os.path.abspath('build')}/{OBJECT}"
    call("sh", "-c", last.replace(made, f"-o {program} {more} "), cwd=build)


def a_copied_file_is_another_model(program):
    source, build = sys.argv[3:5]
    copy_with_one_more_model(source)
    call("cmake", "-S", "source", "-B", "build", "-G", "Ninja", *as_configured(build))
    call("ninja", "-C", "build", OBJECT)
    larger = os.path.abspath("seqrank")
    link(build, larger)
    names = [line for line in call(larger, "train", "--help").splitlines()
             if "--model.name" in line]
    assert len(names) == 1 and "|new_model|" in names[0], names
    make_data(program)
    for name in ("sasrec", "new_model"):
        call(larger, "train", "--data=data.h5", f"--run={name}", f"--model.name={name}",
             "--train.steps=5", *SMALL)
    assert losses("sasrec") == losses("new_model")


CASES = {"ACopiedFileIsAnotherModel": a_copied_file_is_another_model}

if __name__ == "__main__":
    cases.main(CASES)
