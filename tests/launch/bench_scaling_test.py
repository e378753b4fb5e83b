#!/usr/bin/env python3
"""Runs `seqrank bench scaling` under the real mpirun, and `seqrank bench model` on points that are
known to the last digit. Asserts shapes and relations, never times.

  bench_scaling_test.py --list               names of the cases
  bench_scaling_test.py PROGRAM CASE         runs one; exit 77 = skipped, with the reason
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
USAGE, DATA = 2, 3
SKIPPED = 77
MPIRUN = ["mpirun", "-q", "--bind-to", "none", "--oversubscribe"]
QUICK = ["--data=data.h5", "--threads=1", "--train.batch=4", "--bench.steps=3",
         "--bench.repeats=2", "--bench.warmup=1", "--model.width=8"]


def run(words, code=0, **options):
    result = subprocess.run(words, capture_output=True, text=True, timeout=150, **options)
    assert result.returncode == code, f"exit {result.returncode}: {result.stdout}{result.stderr}"
    return result


def refused(words, code, *told, **options):
    lines = run(words, code, **options).stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("seqrank: "), lines
    for word in told:
        assert word in lines[0], lines[0]


def make_data(program):
    run([program, "synth", "--items=60", "--sequences=80", "--length=12", "--clusters=4",
         "--output=data.h5"])


def needs_two_cores():
    if len(os.sched_getaffinity(0)) < 2:
        print("skipped: two ranks are not measured on one core")
        sys.exit(SKIPPED)


def check_point(point, one):
    parts = point["shares"]
    assert abs(sum(parts.values()) - 1) < 1e-6, parts
    assert len(point["events_per_s"]) == 2 and point["peak_bytes"] > 1 << 20, point
    for events, alone, efficiency in zip(point["events_per_s"], one["events_per_s"],
                                         point["efficiencies"]):
        assert abs(events / (point["ranks"] * alone) - efficiency) < 1e-9, point
    spread = point["efficiency"]
    assert spread["least"] <= spread["median"] <= spread["most"], spread
    for call in point["calls"]:
        moved = {"all_reduce": 2, "broadcast": 2}.get(call["operation"], 1) * call["bytes"] / 2
        assert abs(call["bus_bytes_per_s"] * call["seconds"] / moved - 1) < 1e-9, call
        assert call["seconds"] > 0 and call["algorithm"], call


def two_ranks_give_json_and_a_table(program):
    needs_two_cores()
    make_data(program)
    table = run([*MPIRUN, "-np", "2", program, "bench", "scaling", *QUICK, "--bench.widths=8,16",
                 "--json=x.json"]).stdout
    with open("x.json", encoding="utf-8") as file:
        bench = json.load(file)
    assert [at["width"] for at in bench["widths"]] == [8, 16]
    for at in bench["widths"]:
        kinds = [(p["load"], p["ranks"], p["overlap"]) for p in at["points"]]
        assert kinds == [("one", 1, True), ("weak", 2, True), ("weak", 2, False),
                         ("strong", 2, True), ("strong", 2, False), ("apart", 2, True)], kinds
        for point in at["points"]:
            check_point(point, at["points"][0])
            assert ("hidden_share" in point) == (point["load"] in ("weak", "strong")
                                                 and point["overlap"]), point
        assert [e["operation"] for e in at["trace"]["entries"] if e["operation"]] == \
            [call["operation"] for call in at["points"][2]["calls"]]
        assert any(c["algorithm"] == "ring" for c in at["points"][2]["calls"])
    for word in ("efficiency", "exposed", "idle", "input", "peak memory", "bus GB/s", "width 16"):
        assert word in table, table
    # What was just measured is what `bench model` reads.
    run([program, "bench", "model", "--fit=x.json"])


def svg_is_drawn(program):
    if shutil.which("gnuplot") is None:
        print("skipped: gnuplot is not installed")
        sys.exit(SKIPPED)
    make_data(program)
    run([program, "bench", "scaling", *QUICK, "--svg=picture.svg"])
    with open("picture.svg", encoding="utf-8") as file:
        text = file.read()
    assert text.startswith("<?xml") and "<svg" in text and text.rstrip().endswith("</svg>")
    refused([program, "bench", "scaling", *QUICK, "--svg=no/such/picture.svg"], DATA, "no/such")


def svg_without_gnuplot_is_refused_at_once(program):
    make_data(program)
    os.mkdir("bin")  # all that there is but gnuplot: Open MPI needs some
    for folder in os.environ["PATH"].split(":"):
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            if not name.startswith("gnuplot") and not os.path.lexists(f"bin/{name}"):
                os.symlink(f"{folder}/{name}", f"bin/{name}")
    refused([program, "bench", "scaling", *QUICK, "--svg=picture.svg"],
            USAGE, "gnuplot", "--svg", env={**os.environ, "PATH": os.path.abspath("bin")})
    assert not os.path.exists("picture.svg")


def more_ranks_than_cores_are_refused(program):
    make_data(program)
    core = min(os.sched_getaffinity(0))
    refused([*MPIRUN, "-np", "2", program, "bench", "scaling", *QUICK], USAGE, "2 ranks", "1 core",
            preexec_fn=lambda: os.sched_setaffinity(0, {core}))


# ---- bench model, on points that this model makes --------------------------------------------

MESSAGE, SHARE, BYTE = 150e-6, 0.9, 0.3e-9
SIZES = {64: 400_000, 128: 1_600_000, 256: 6_400_000, 512: 25_600_000}


def seconds_of(operation, size, gbit):
    """On two ranks, a delay of 1 ms."""
    moved = size / 2 if operation != "all_reduce" else size
    return 1e-3 + MESSAGE + moved * (8 / (gbit * 1e9 * SHARE) + BYTE)


def recorded(gbit, width, slower=1.0):
    """A step whose scatter is hidden when overlapped, and whose gather never is."""
    calls = [("reduce_scatter", SIZES[width]), ("all_reduce", 24), ("all_gather", SIZES[width])]
    seconds = [seconds_of(operation, size, gbit) for operation, size in calls]
    compute = 2.0
    entries = [{"at": 0.1, "operation": "reduce_scatter", "call": 0, "bytes": SIZES[width]},
               {"at": compute, "operation": "", "call": 0, "bytes": 0}]
    for i, (operation, size) in enumerate(calls[1:], 1):
        entries += [{"at": compute, "operation": operation, "call": i, "bytes": size},
                    {"at": compute, "operation": "", "call": i, "bytes": 0}]

    def point(load, ranks, overlap, step, exposed):
        return {"load": load, "ranks": ranks, "hosts": ranks, "overlap": overlap,
                "events_per_s": [1.0], "efficiencies": [1.0], "step_seconds": [step],
                "exposed_seconds": [exposed], "peak_bytes": 1,
                "shares": {"compute": 1, "exposed": 0, "input": 0, "idle": 0},
                "calls": [{"operation": operation, "algorithm": "ring", "bytes": size,
                           "seconds": s, "bus_bytes_per_s": 1}
                          for (operation, size), s in zip(calls, seconds)] if not overlap else []}

    exposed = sum(seconds[1:])
    return {"width": width, "parameters": SIZES[width] // 4, "flops_per_event": 6e6,
            "events_per_rank": 400, "trace": {"seconds": compute, "entries": entries},
            "points": [point("one", 1, True, compute, 0),
                       point("weak", 2, True, compute + exposed, exposed),
                       point("weak", 2, False, (compute + sum(seconds)) * slower, sum(seconds))]}


def write_runs(name, gbit, *widths):
    with open(name, "w", encoding="utf-8") as file:
        json.dump({"bench": "scaling", "steps": 1, "repeats": 1, "items": 1000,
                   "link": {"gbit": gbit, "ms": 1}, "widths": list(widths)}, file)
    return name


def model_finds_what_made_the_points_and_tells_its_errors(program):
    fit = [write_runs(f"fit{g}.json", g, recorded(g, 64), recorded(g, 128)) for g in (1, 2)]
    check = [write_runs("wide.json", 1, recorded(1, 256), recorded(1, 512, slower=1.25)),
             write_runs("slow.json", 0.5, recorded(0.5, 128))]
    table = run([program, "bench", "model", "--fit=" + ",".join(fit), "--check=" + ",".join(check),
                 f"--figures={ROOT}/launch/configs/h100.ini", "--json=model.json"]).stdout
    with open("model.json", encoding="utf-8") as file:
        found = json.load(file)
    model = found["model"]
    assert abs(model["message_seconds"] / MESSAGE - 1) < 1e-3, model
    assert abs(model["link_share"] / SHARE - 1) < 1e-3, model
    assert abs(model["byte_seconds"] / BYTE - 1) < 1e-2, model
    assert len(found["points"]) == 3 * (4 + 3)
    for point in found["points"]:
        made_slower = point["width"] == 512 and point["what"] == "step in turn"
        expected = 1 / 1.25 - 1 if made_slower else 0
        assert abs(point["error"] - expected) < 1e-3, point
        assert point["held_out"] == (point["width"] > 128 or point["gbit"] == 0.5), point
    assert abs(found["largest_error_held_out"] - 0.2) < 1e-3, found
    assert found["largest_error_fitted"] < 1e-3, found
    assert [f["devices"] for f in found["forecasts_modelled"]] == [8, 64, 512, 4096]
    for forecast in found["forecasts_modelled"]:
        assert 0 < forecast["efficiency"] <= 1 + 1e-9, forecast
    assert "held out" in table and "modelled, not measured" in table, table
    assert "-20.0 %" in table, table


def model_refuses_what_it_cannot_use(program):
    refused([program, "bench", "model"], USAGE, "--fit")
    refused([program, "bench", "model", "--fit=nowhere.json"], DATA, "nowhere.json")
    with open("step.json", "w", encoding="utf-8") as file:
        file.write('{"bench": "step"}')
    refused([program, "bench", "model", "--fit=step.json"], DATA, "step.json", "step")
    with open("torn.json", "w", encoding="utf-8") as file:
        file.write('{"bench": "scaling", "wid')
    refused([program, "bench", "model", "--fit=torn.json"], DATA, "torn.json")
    alone = recorded(1, 64)
    del alone["points"][1:]
    write_runs("alone.json", 1, alone)
    refused([program, "bench", "model", "--fit=alone.json"], DATA, "alone.json", "mpirun -np 2")
    write_runs("good.json", 1, recorded(1, 64))
    with open("short.ini", "w", encoding="utf-8") as file:
        file.write("[device]\nflops_per_s = 1e12\n")
    refused([program, "bench", "model", "--fit=good.json", "--figures=short.ini"], USAGE,
            "device.share")
    with open("wrong.ini", "w", encoding="utf-8") as file:
        file.write("[device]\nflop_per_s = 1e12\n")
    refused([program, "bench", "model", "--fit=good.json", "--figures=wrong.ini"], USAGE,
            "wrong.ini:2", "device.flops_per_s")


CASES = {f.__name__: f for f in (
    two_ranks_give_json_and_a_table,
    svg_is_drawn,
    svg_without_gnuplot_is_refused_at_once,
    more_ranks_than_cores_are_refused,
    model_finds_what_made_the_points_and_tells_its_errors,
    model_refuses_what_it_cannot_use,
)}


def main():
    if sys.argv[1:] == ["--list"]:
        print(";".join(CASES), end="")
        return
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="seqrank-bench-scaling-") as folder:
        os.chdir(folder)
        try:
            CASES[sys.argv[2]](program)
        finally:
            os.chdir("/")


if __name__ == "__main__":
    main()
