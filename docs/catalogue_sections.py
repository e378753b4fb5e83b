"""Sections of docs/performance.md about the number of items: what `seqrank bench loss` and `seqrank
bench table` wrote, by number of ranks, and memory as planned and as taken. Measures nothing.
"""
from result_tables import memory, number, table


def runs_of(record):
    """One run, or several by key."""
    return [record.result] if "rows" in record.result else list(record.result.values())


def line_of(run, row):
    what = row["what"] + (f": {row['part']}" if "part" in row else "")
    start = [number(row["items"]), run["ranks"], what, row["table"]]
    if "skipped" in row:
        return [*start, f"left out: {row['skipped']}", "", "", "", ""]
    seconds, floor = row["seconds"], row["floor_seconds"]
    span = (f"{1e3 * seconds['least']:.3f} to {1e3 * seconds['most']:.3f}" if row["repeats"] > 1
            else "one step" + ("" if row["warm"] else ", the first"))
    return [*start, f"{1e3 * seconds['median']:.3f}", span, f"{1e3 * floor:.3f}",
            f"{seconds['median'] / floor:.1f}", memory(row["extra_bytes"])]


def bus_words(rows):
    """Of a GPU alone."""
    rates = [row["bus_bytes_per_s"] * 1e-9 for row in rows if "bus_bytes_per_s" in row]
    return f", host and GPU {min(rates):.1f} to {max(rates):.1f} GB/s" if rates else ""


def lines_of(record, words):
    runs = runs_of(record)
    first = runs[0]
    rows = [(run, row) for run in runs for row in run["rows"]]
    rows.sort(key=lambda pair: pair[1]["items"])  # stable: else as they were measured
    rates = [row for _, row in rows if "skipped" not in row]
    spans = [f"{min(row[key] for row in rates) * scale:.1f} to "
             f"{max(row[key] for row in rates) * scale:.1f}"
             for key, scale in (("matmul_flops_per_s", 1e-9), ("copy_bytes_per_s", 1e-9))]
    out = [f"Width {first['width']}, {number(first['events'])} {words} a step, all ranks together; "
           f"{first['threads']} thread{'s' if first['threads'] > 1 else ''} a rank; medians. Rates "
           f"of a rank, all ranks at once: products {spans[0]} GFLOP/s, copies {spans[1]} GB/s "
           f"(read and written){bus_words(rates)}.", ""]
    return out + table(["items", "ranks", "what", "table", "ms", "of the repeats", "floor, ms",
                        "times the floor", "extra memory of a rank"],
                       [line_of(run, row) for run, row in rows])


FLOOR = ("The floor is the larger of the operations over the rate of matrix products and the bytes "
         "over the rate of copies, measured around each line. What a copy writes over is read first and "
         "not counted, so that work which writes where it reads can be faster. Extra memory is the arena's peak less "
         "table, gradient, moments, states, the states' gradient, and ids.")


def loss(records, _):
    out = [FLOOR + " The floor of an exact softmax is 6 operations an event, item and dimension; in "
           "tiles it makes 8. Of a table that is whole on several ranks, the exchange of its dense "
           "gradient and of its new values is in the time.", ""]
    for r in records:
        out += [f"### {r.get('title')}", ""] + lines_of(r, "states with a target")
    return out


def rows(records, _):
    out = [FLOOR + " AdamW updates all rows that a rank owns, and the gradient is cleared for the next "
           "step; row-wise Adagrad updates those that were looked up. Tables in the host's memory "
           "(`table.tier=host`) have not run on a GPU yet; `seqrank bench table --device=cuda` "
           "measures them, beside the rate between the host and the GPU.", ""]
    for r in records:
        out += [f"### {r.get('title')}", ""] + lines_of(r, "ids, drawn evenly,")
    return out


def plans(records, _):
    """{"plan": `seqrank train --dry-run`, "train": `seqrank train`} of the same options."""
    lines = []
    for r in records:
        plan, train = r.part("plan"), r.part("train")
        taken = sum(train["peak_bytes"].values()) + train.get("checkpoint_bytes", 0)
        lines.append([r.get("title"), number(plan["parameters"]), memory(plan["total_bytes"]),
                      memory(taken), f"{plan['total_bytes'] / taken:.3f}",
                      memory(plan.get("file_bytes", 0)), memory(r.get("peak_rss_bytes")),
                      number(train["steps"]), number(train["events_per_s"])])
    return ["Planned: what `--dry-run` said. Taken: the peaks that the arena counted in the run, by "
            "tag, added up, and the copy that saves write from. The process has more: code, "
            "libraries, and of tables in files the pages that the system still keeps, which it may "
            "take back.", ""] + \
        table(["run", "parameters", "planned", "taken", "planned / taken", "in files",
               "largest process", "steps", "events/s"], lines)


def gpu_plans(records, _):
    """docs/compare_plans.py."""
    out = ["Trainings that were recorded on a GPU, planned again without one. Taken: the peaks that "
           "the arena counted on the GPU, by tag, added up.", ""]
    for r in records:
        lines = []
        for row in sorted(r.result["rows"], key=lambda row: row["record"]):
            planned, taken = row["planned_bytes"], row["taken_bytes"]
            lines.append([row["record"], row["gpu"], memory(sum(planned.values())),
                          memory(sum(taken.values())),
                          f"{sum(planned.values()) / sum(taken.values()):.3f}"] +
                         [f"{memory(planned[tag])} / {memory(taken[tag])}"
                          for tag in ("activation", "workspace")])
        out += table(["training", "GPU", "planned", "taken", "planned / taken", "activation",
                      "workspace"], lines)
    return out
