"""Speed beside PyTorch's on the same GPU in the same session: the steps of tests/gpu.sh --bench.

Ours by `seqrank bench ops` and `bench step`, theirs by tests/gpu_torch.py; one table of ratios, and
OUT/gpu_bench.json with every number. PyTorch's best of its ways is what ours is divided by. Where
there is no PyTorch, ours are measured alone.
"""
import importlib.util
import itertools
import json
import os
import sys

import gpu_run

HERE = os.path.dirname(os.path.abspath(__file__))
QUICK_OPS = ["--bench.lengths=8", "--bench.events=32", "--bench.head_widths=32", "--bench.width=32",
             "--bench.items=40", "--bench.repeats=1"]


def read(machine, name):
    path = machine.path(name)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def torch(machine, limit, what, source, result, *words):
    """In the environment that this script was started in: our libraries are not for PyTorch."""
    if importlib.util.find_spec("torch") is None:
        raise gpu_run.Skipped("no PyTorch")
    if machine.quick:
        words += ("--quick", "--device=cpu")
    machine.run([sys.executable, os.path.join(HERE, "gpu_torch.py"), what, source,
                 machine.path(result), *words], limit,
                LD_LIBRARY_PATH=os.environ.get("LD_LIBRARY_PATH", ""), PATH=os.environ["PATH"])


def our_ops(machine, limit):
    machine.seqrank("bench", "ops", "--device=cuda", f"--json={machine.path('ops.json')}",
                    *(QUICK_OPS if machine.quick else machine.ops.split()), limit=limit)
    return f"{len(read(machine, 'ops.json')['speeds'])} measured"


def their_ops(machine, limit):
    torch(machine, limit, "ops", machine.path("ops.json"), "torch_ops.json")
    return f"PyTorch {read(machine, 'torch_ops.json')['torch']}"


def step_name(width, batch, precision):
    return f"step-{width}-{batch}-{precision}.json"


def our_step(width, batch, precision):
    def step(machine, limit):
        words = ["--bench.steps=40", "--bench.repeats=5", f"--train.batch={batch}"]
        if machine.quick:
            words = ["--bench.steps=2", "--bench.repeats=1", "--bench.warmup=1", "--train.batch=2"]
        name = step_name(width, batch, precision)
        machine.seqrank("bench", "step", "--device=cuda", f"--data={machine.data}",
                        f"--config={gpu_run.ROOT}/launch/configs/ml-1m_attention_rnn.ini",
                        f"--model.width={8 if machine.quick else width}",
                        f"--train.precision={precision}", f"--json={machine.path(name)}", *words,
                        limit=limit)
        one = read(machine, name)["one_rank"]
        return (f"{one['median_events_per_s']:,.0f} events/s, "
                f"{one['flops_per_s'] * 1e-12:.2f} TFLOP/s")
    return step


def their_step(width, batch, precision):
    def step(machine, limit):
        name = "torch_" + step_name(width, batch, precision)
        torch(machine, limit, "step", machine.data, name, f"--precision={precision}",
              f"--width={8 if machine.quick else width}",
              f"--batch={2 if machine.quick else batch}")
        return ", ".join(f"{way} {speed['events_per_s']:,.0f} events/s" if "error" not in speed
                         else f"{way}: {speed['error']}"
                         for way, speed in read(machine, name).items() if way != "torch")
    return step


def best_of(theirs):
    timed = {way: t["median"] for way, t in theirs.items() if "median" in t}
    return min(timed.items(), key=lambda entry: entry[1]) if timed else None


def table_of_ops(ours, theirs):
    rows = []
    for row, of_them in itertools.zip_longest(ours["speeds"], theirs["theirs"] if theirs else [],
                                              fillvalue={}):
        sizes = ", ".join(f"{name} {size}" for name, size in row["sizes"].items())
        by = f" by {row['by']}" if row["by"] else ""
        what = f"{row['op']}{by}, {row['pass']}, {row['type']}, {row['lengths']} ({sizes})"
        mine = row["seconds"]["median"]
        best = best_of(of_them)
        rate = (f"{row['flops_per_s'] * 1e-12:.2f} TFLOP/s" if "flops" in row
                else f"{row['bytes_per_s'] * 1e-9:.1f} GB/s")
        rows.append([what, f"{1e3 * mine:.4f}", rate,
                     f"{1e3 * best[1]:.4f}" if best else "", best[0] if best else "",
                     f"{best[1] / mine:.2f}" if best else ""])
    return rows


def table_of_steps(steps):
    rows = []
    for entry in steps:
        speed = {way: t["events_per_s"] for way, t in (entry["theirs"] or {}).items()
                 if way != "torch" and "events_per_s" in t}
        mine = entry["ours"]["one_rank"]["median_events_per_s"]
        rows.append([f"whole step, {entry['precision']}, width {entry['width']}, "
                     f"batch {entry['batch']}", f"{mine:,.0f} /s",
                     f"{entry['ours']['one_rank']['flops_per_s'] * 1e-12:.2f} TFLOP/s",
                     " ".join(f"{way} {rate:,.0f}" for way, rate in speed.items()),
                     max(speed, key=speed.get) if speed else "",
                     f"{mine / max(speed.values()):.2f}" if speed else ""])
    return rows


def print_table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(row, widths))).rstrip())


def summary(machine, _limit):
    ours, theirs = read(machine, "ops.json"), read(machine, "torch_ops.json")
    steps = []
    for width, batch, precision in step_cases(machine):
        name = step_name(width, batch, precision)
        if read(machine, name):
            steps.append({"width": width, "batch": batch, "precision": precision,
                          "ours": read(machine, name), "theirs": read(machine, "torch_" + name)})
    if ours is None:
        raise gpu_run.Failed("nothing was measured")
    with open(os.path.join(machine.out, "gpu_bench.json"), "w", encoding="utf-8") as file:
        json.dump({"ops": ours, "torch": theirs, "steps": steps}, file)
    print()
    print_table([["what", "ours, ms", "ours", "PyTorch, ms", "its best way", "speed, ours / its"],
                 *table_of_ops(ours, theirs), *table_of_steps(steps)])
    for entry in steps:
        shares = ", ".join(f"{part['part']} {100 * part['share']:.1f} %"
                           for part in entry["ours"]["parts"] if part["share"] >= 0.01)
        print(f"\nshares of a step, width {entry['width']}, batch {entry['batch']}, "
              f"{entry['precision']}: {shares}")
    print()
    return "gpu_bench.json"


def step_cases(machine):
    sizes = [tuple(map(int, word.split("x"))) for word in machine.steps.split(",") if word]
    return [(*size, precision) for size in sizes for precision in ("fp32", "bf16")]


def steps(machine):
    cases = step_cases(machine)
    return (
        ("our operators", 100, our_ops),
        ("the same in PyTorch", 150, their_ops),
        *((f"step {w}, {b}, {p}", 45, our_step(w, b, p)) for w, b, p in cases),
        *((f"PyTorch's {w}, {b}, {p}", 60, their_step(w, b, p)) for w, b, p in cases),
        ("table", 5, summary),
    )
