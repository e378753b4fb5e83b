#!/usr/bin/env python3
"""Runs `seqrank bench loss` and `seqrank bench table` at tiny sizes, on one rank and under the real
mpirun. Asserts shapes and relations, never times.

  bench_catalogue_test.py --list               names of the cases
  bench_catalogue_test.py PROGRAM CASE         runs one
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases

USAGE = 2
TINY = ["--device=cpu", "--threads=1", "--bench.width=8", "--bench.events=33", "--bench.repeats=2",
        "--bench.seconds=0.001"]
MPIRUN = ["mpirun", "-q", "--bind-to", "none", "--oversubscribe", "-np"]


def run(program, *words, ranks=1, code=0):
    launch = [*MPIRUN, str(ranks)] if ranks > 1 else []
    done = subprocess.run([*launch, program, "bench", *words], capture_output=True, text=True,
                          timeout=150, check=False)
    assert done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    return done


def measured(program, *words, ranks=1):
    table = run(program, *words, *TINY, "--json=out.json", ranks=ranks).stdout
    with open("out.json", encoding="utf-8") as file:
        bench = json.load(file)
    assert bench["ranks"] == ranks and bench["events"] == 33, bench
    for row in bench["rows"]:
        assert row["what"] in table, table
        if "skipped" in row:
            continue
        seconds = row["seconds"]
        assert 0 < seconds["least"] <= seconds["median"] <= seconds["most"], row
        floor = max(row["flops"] / row["matmul_flops_per_s"], row["bytes"] / row["copy_bytes_per_s"])
        assert abs(row["floor_seconds"] / floor - 1) < 1e-9, row
        assert all(row["peak_bytes"][tag] >= held for tag, held in row["held_bytes"].items()), row
    return bench["rows"]


def losses_at_sizes(program):
    for ranks in (1, 2):
        rows = measured(program, "loss", "--bench.items=301", "--bench.negatives=20", ranks=ranks)
        kinds = [(row["what"], row["table"]) for row in rows]
        whole = [("softmax over whole rows", "whole"), ("softmax in tiles", "whole"),
                 ("sampled softmax", "whole")]
        split = [("softmax in tiles", "split"), ("sampled softmax", "split")]
        assert kinds == whole + (split if ranks > 1 else []), kinds
        for row in rows:
            if row["what"] != "sampled softmax":
                assert row["flops"] == 6 * 33 * row["items"] * 8 / ranks, row
            share = (301 + ranks - 1) // ranks if row["table"] == "split" else 301
            if row["what"] == "softmax in tiles":
                table = row["held_bytes"]["parameter"]
                assert 0 <= table - 4 * 8 * share < 1024, row


def rows_at_sizes(program):
    for ranks in (1, 2):
        rows = measured(program, "table", "--bench.items=301", ranks=ranks)
        parts = [row["part"] for row in rows]
        assert parts == ["deduplicate", "look-up", "gradient", "update"] * (3 * ranks), parts
        assert {row["table"] for row in rows} == ({"whole", "split"} if ranks > 1 else {"whole"})


def what_does_not_fit_is_left_out(program):
    words = ["--bench.items=40,2000000", "--bench.tables=whole", "--bench.memory=32M"]
    for bench in ("loss", "table"):
        for row in measured(program, bench, *words):
            assert ("skipped" in row) == (row["items"] == 2000000), row
            if "skipped" in row:
                assert "a rank would take" in row["skipped"], row


def the_layer_takes_memory_for_a_tile(program):
    words = ["--bench.items=100000", "--bench.losses=tiles"]
    for ranks in (1, 2):
        for row in measured(program, "loss", *words, ranks=ranks):
            assert 0 < row["extra_bytes"] < 8 << 20, row


def what_it_does_not_know_is_refused(program):
    for words, told in ((["loss", "--bench.losses=all"], "whole, tiles, sampled"),
                        (["table", "--bench.tables=both"], "whole, split"),
                        (["loss", "--bench.items=0"], "bench.items"),
                        (["table", "--bench.memory=some"], "bench.memory")):
        lines = run(program, *words, code=USAGE).stderr.splitlines()
        assert len(lines) == 1 and told in lines[0], lines


if __name__ == "__main__":
    cases.main({f.__name__: f for f in (
        losses_at_sizes,
        rows_at_sizes,
        what_does_not_fit_is_left_out,
        the_layer_takes_memory_for_a_tile,
        what_it_does_not_know_is_refused,
    )})
