"""What the sections of docs/make_results.py share: a recorded result, words for numbers, tables, and
where a result comes from. Knows no section.
"""
import json
import math
import os
import re


class Record:
    """One file: the envelope's fields, and the command's own JSON as .result."""

    def __init__(self, name, data):
        self.name = name
        # tests/long/prepare_50m.py writes one flat object.
        self.result = data["result"] if "result" in data else data
        self.fields = data

    def part(self, key):
        """result[key] where several JSONs were recorded, else the whole result."""
        return self.result.get(key, self.result) if isinstance(self.result, dict) else self.result

    def get(self, key, default=None):
        return self.fields.get(key, default)


def natural(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def load(folder):
    records = []
    for file in sorted(os.listdir(folder), key=natural) if os.path.isdir(folder) else []:
        if file.endswith(".json"):
            with open(os.path.join(folder, file), encoding="utf-8") as text:
                records.append(Record(file[:-5], json.load(text)))
    return records


def number(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if value and (abs(value) < 1e-4 or abs(value) >= 1e7):
            return f"{value:.2e}"
        return f"{value:,.1f}" if abs(value) >= 1 else f"{value:.4f}"
    return str(value)


def memory(count):
    return f"{count / 2**20:,.0f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"


def cell(value):
    return str(value).replace("|", "\\|").replace("\n", " ")


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |",
             "|" + "|".join("---" if i == 0 else "---:" for i in range(len(header))) + "|"]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return lines + [""]


def mean_and_error(values):
    """Mean and its standard error; no error of one value."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, None
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))


def spread(values, digits=4):
    mean, error = mean_and_error(values)
    return f"{mean:.{digits}f}" + ("" if error is None else f" +- {error:.{digits}f}")


def verdict(goals, section, key, value, at_most=False):
    goal = goals.get(section, {}).get(key)
    if goal is None:
        return []
    met = value <= goal if at_most else value >= goal
    return [f"Goal, {key.replace('_', ' ')}: {'at most' if at_most else 'at least'} {goal:g}; "
            f"measured {value:.3g}: {'met' if met else 'NOT met'}.", ""]


def machine_words(machine):
    if not isinstance(machine, dict):
        return machine
    gpus = "".join(f", {name}" for name in machine.get("gpus", []))
    return (f"{machine['processors']} x {machine['processor']}, "
            f"{memory(machine['memory_bytes'])}{gpus}")


def seed_words(seed):
    if seed is None or seed == []:
        return "-"
    return ", ".join(map(str, seed)) if isinstance(seed, list) else str(seed)


def provenance(records):
    rows = []
    for r in records:
        commit = r.get("commit", "-") + (" and changes" if r.get("changed_since_commit") else "")
        rows.append([f"[{r.name}](results/{r.name}.json)", commit, r.get("date", "-"),
                     seed_words(r.get("seed")), number(r.get("seconds", "-")),
                     memory(r.get("peak_rss_bytes")) if r.get("peak_rss_bytes") else "-",
                     number(r.get("load_before", "-")), machine_words(r.get("machine", "-"))])
    lines = table(["recorded in", "commit", "date", "seed", "seconds", "largest process",
                   "load before", "machine"], rows)
    commands = {}
    for r in records:
        commands.setdefault(r.get("command", "-"), []).append(r.name)
    for command, names in commands.items():
        lines += [f"{', '.join(names)}:", "", "```", command, "```", ""]
    return lines


def plain_values(record):
    rows = [[key, number(value)] for key, value in record.result.items()
            if isinstance(value, (int, float, str, bool))]
    return table(["value", record.name], rows)
