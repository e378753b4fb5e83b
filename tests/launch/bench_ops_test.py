#!/usr/bin/env python3
"""Runs `seqrank bench ops` at tiny sizes on the CPU. Asserts shapes and relations, never times.

  bench_ops_test.py --list               names of the cases
  bench_ops_test.py PROGRAM CASE         runs one
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases

USAGE = 2
TINY = ["--device=cpu", "--threads=1", "--bench.lengths=5,16", "--bench.events=60",
        "--bench.head_widths=8", "--bench.width=16", "--bench.items=40", "--bench.repeats=2"]


def run(program, *words, code=0):
    done = subprocess.run([program, "bench", "ops", *words], capture_output=True, text=True,
                          timeout=150, check=False)
    assert done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    return done


def read():
    with open("ops.json", encoding="utf-8") as file:
        return json.load(file)


def all_operators_give_json_and_a_table(program):
    table = run(program, *TINY, "--json=ops.json").stdout
    bench = read()
    lengths = {entry["name"]: entry for entry in bench["lengths"]}
    assert list(lengths) == ["fixed 5", "packed 5", "fixed 16", "packed 16"]
    for name, entry in lengths.items():
        assert sum(entry["length_B"]) == entry["events"] <= 60, entry
        assert 1 <= min(entry["length_B"]) and max(entry["length_B"]) <= entry["longest"], entry
        assert (len(set(entry["length_B"])) == 1) == name.startswith("fixed"), entry
    assert lengths["packed 16"]["events"] == 60 and lengths["fixed 16"]["events"] == 48
    rows = bench["speeds"]
    ops = {row["op"] for row in rows}
    assert ops == {"multi_head_attention", "lstm", "gru", "softmax_cross_entropy", "gather_rows",
                   "sum_rows+scatter_add_rows"}, ops
    assert sum(row["op"] == "multi_head_attention" for row in rows) == 4 * 2
    for row in rows:
        seconds = row["seconds"]
        assert 0 < seconds["least"] <= seconds["median"] <= seconds["most"], row
        amount = "flops" if "flops" in row else "bytes"
        rate = row[f"{amount}_per_s"]
        assert row[amount] > 0 and abs(rate * seconds["median"] / row[amount] - 1) < 1e-9, row
        assert row["op"] in table, table
    for word in ("TFLOP/s", "GB/s", "log-normal"):
        assert word in table, table


def products_are_counted(program):
    """Of the model: two products of H K for a pair that is seen, and twice that backward."""
    run(program, *TINY, "--bench.ops=attention,softmax", "--json=ops.json")
    for row in read()["speeds"]:
        size = row["sizes"]
        if row["op"] == "multi_head_attention" and row["lengths"] == "fixed 5":
            pairs = 12 * 15
            times = 1 if row["pass"] == "forward" else 3
            assert row["flops"] == times * 4 * size["heads"] * size["head_width"] * pairs, row
        if row["op"] == "softmax_cross_entropy":
            assert row["flops"] == 6 * size["events"] * size["width"] * size["items"], row


def packed_lengths_are_the_same_in_every_run(program):
    lengths = []
    for _ in range(2):
        run(program, *TINY, "--bench.ops=rows", "--json=ops.json")
        lengths.append(read()["lengths"])
    assert lengths[0] == lengths[1]


def what_it_does_not_know_is_refused(program):
    for words, told in ((["--bench.ops=rows,sort"], "sort"), (["--bench.types=fp8"], "fp8"),
                        (["--bench.lengths=50,4097"], "4097"), (["--bench.lengths="], "bench.lengths")):
        lines = run(program, *words, code=USAGE).stderr.splitlines()
        assert len(lines) == 1 and told in lines[0], lines


if __name__ == "__main__":
    cases.main({f.__name__: f for f in (
        all_operators_give_json_and_a_table,
        products_are_counted,
        packed_lengths_are_the_same_in_every_run,
        what_it_does_not_know_is_refused,
    )})
