"""Sections of docs/make_results.py on what ran on a GPU: gpu-tests*.json holds the gpu.json of
tests/gpu.sh, gpu-bench*.json the gpu_bench.json of tests/gpu.sh --bench.
"""
from result_tables import cell, number, table

PASSES = ("forward", "forward+backward")


def tests(records, _):
    out = []
    for r in records:
        steps = r.result["steps"]
        out += [f"{cell(r.get('title'))}. {r.result['seconds']:.0f} s on {machine_gpus(r)}; steps of one "
                "group ran side by side.", ""]
        out += table(["step", "outcome", "seconds", "what it told"],
                     [[s["step"], s["outcome"], f"{s['seconds']:.1f}", s["told"]] for s in steps])
    return out


def machine_gpus(record):
    return ", ".join(record.get("machine", {}).get("gpus", ["?"]))


def best(theirs):
    """PyTorch's best way and its median."""
    timed = {way: t["median"] for way, t in theirs.items()
             if isinstance(t, dict) and "median" in t}
    return min(timed.items(), key=lambda entry: entry[1]) if timed else ("-", None)


def ratio(ours, theirs):
    return "-" if theirs is None else f"{theirs / ours:.2f}"


def measured(result):
    """(row, ours in seconds, PyTorch's best way, its seconds)"""
    theirs = (result.get("torch") or {}).get("theirs", [{}] * len(result["ops"]["speeds"]))
    for row, of_them in zip(result["ops"]["speeds"], theirs):
        way, seconds = best(of_them)
        yield row, row["seconds"]["median"], way, seconds


def attention(result):
    """A row a type, lengths and head width: forward, and forward with backward."""
    by_key = {}
    for row, ours, way, theirs in measured(result):
        if row["op"] != "multi_head_attention" or row["type"] not in ("fp32", "bf16"):
            continue
        key = (row["type"], row["lengths"], row["sizes"]["head_width"])
        by_key.setdefault(key, {})[row["pass"]] = (row, ours, way, theirs)
    rows = []
    for (kind, lengths, width), passes in by_key.items():
        cells = [kind, lengths, width]
        for name in PASSES:
            row, ours, way, theirs = passes[name]
            cells += [f"{1e3 * ours:.3f}", f"{1e-12 * row['flops'] / ours:.1f}",
                      "-" if theirs is None else f"{1e3 * theirs:.3f}", way, ratio(ours, theirs)]
        rows.append(cells)
    return table(["type", "lengths", "head width"]
                 + [f"{name}: {what}" for name in ("forward", "with backward")
                    for what in ("ours, ms", "TFLOP/s", "PyTorch, ms", "its way", "ours is x")],
                 rows)


def others(result):
    rows = []
    for row, ours, way, theirs in measured(result):
        if row["op"] == "multi_head_attention" or row["type"] == "fp16":
            continue  # the latter: as bf16, and in the file
        sizes = ", ".join(f"{name} {size}" for name, size in row["sizes"].items())
        rate = (f"{1e-12 * row['flops'] / ours:.2f} TFLOP/s" if "flops" in row
                else f"{1e-9 * row['bytes'] / ours:.0f} GB/s" if "bytes" in row else "-")
        rows.append([row["op"] + (f" by {row['by']}" if row.get("by") else ""), row["pass"],
                     row["type"], row["lengths"] or "-", sizes, f"{1e3 * ours:.3f}", rate,
                     "-" if theirs is None else f"{1e3 * theirs:.3f}", way, ratio(ours, theirs)])
    return table(["operator", "pass", "type", "lengths", "sizes", "ours, ms", "ours",
                  "PyTorch, ms", "its way", "ours is x"], rows)


def steps(result):
    rows, shares = [], []
    for s in result["steps"]:
        speeds = {way: t["events_per_s"] for way, t in (s["theirs"] or {}).items()
                  if isinstance(t, dict) and "events_per_s" in t}
        ours = s["ours"]["one_rank"]["median_events_per_s"]
        fastest = max(speeds, key=speeds.get) if speeds else "-"
        rows.append([s["ours"]["model"], s["precision"], s["width"], s["batch"], number(round(ours)),
                     f"{1e-12 * s['ours']['one_rank']['flops_per_s']:.2f}",
                     number(round(speeds[fastest])) if speeds else "-", fastest,
                     f"{ours / speeds[fastest]:.2f}" if speeds else "-"])
        parts = [[p["part"], f"{100 * p['share']:.1f} %"] for p in s["ours"]["parts"]
                 if p["share"] >= 0.01]
        shares.append([f"width {s['width']}, batch {s['batch']}, {s['precision']}",
                       ", ".join(" ".join(p) for p in parts)])
    return (table(["model", "precision", "width", "batch", "ours, events/s", "TFLOP/s",
                   "PyTorch, events/s", "its way", "ours is x"], rows)
            + table(["step", "shares of its time, from 1 %"], shares))


def bench(records, _):
    out = []
    for r in records:
        out += [f"**{cell(r.get('title'))}** ({machine_gpus(r)}; PyTorch "
                f"{(r.result.get('torch') or {}).get('torch', 'not there')}). Medians of one run; "
                "`ours is x`: PyTorch's time over ours, its fastest way taken. Packed lengths: "
                f"{r.result['ops'].get('packed_lengths', '')}.", ""]
        out += attention(r.result) + others(r.result)
        if r.result.get("steps"):
            out += ["The whole step of training, a batch of real sequences:", ""]
            out += steps(r.result)
    return out
