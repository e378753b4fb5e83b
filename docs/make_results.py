#!/usr/bin/env python3
"""Makes docs/results.md, docs/performance.md and docs/reliability.md of docs/results/*.json (written
by docs/record_result.py and by tests/long) and docs/goals.json. Measures nothing; the same files
give the same text.

  docs/make_results.py            writes the pages
  docs/make_results.py --check    exit 1 when one is not what would be written

Files that the sections look for (others are listed at the end):
  ml-1m_*.json, diginetica_*.json, ...   see docs/ranking_sections.py
  equal-loss*.json    metrics.jsonl by number of ranks, {"1": [...], "2": [...], ...}
  exact-resume*.json  {"whole": metrics.jsonl, "resumed": ..., "whole_manifest": manifest.json,
                      "resumed_manifest": ...}
  synth.json          {"synth": `seqrank synth`, "train": ..., "evaluate": ...}
  prepare-50m.json    tests/long/prepare_50m.py
  bench-step*.json    `seqrank bench step`
  bench-loss*.json, bench-table*.json        `seqrank bench loss`, `bench table`; one or by ranks
  large-*.json        {"plan": `seqrank train --dry-run`, "train": ...}
  scaling-cores*.json, scaling-hosts*.json   `seqrank bench scaling`
  scaling-model*.json {"model": `seqrank bench model`, and the runs that it read}
  stops*.json         tests/long/stops.py
  recommend-stdin*.json                      `seqrank recommend --stdin`
  gpu-tests*.json, gpu-bench*.json           docs/gpu_sections.py
  kernels*.json       docs/kernel_resources.py
A result of plain values instead is shown as a table of these values.
"""
import fnmatch
import json
import os
import sys

import catalogue_sections
import gpu_sections
import ranking_sections
import scaling_sections
from result_tables import (cell, load, memory, natural, number, plain_values, provenance, table,
                           verdict)

DOCS = os.path.dirname(os.path.abspath(__file__))


# ---- sections: a list of lines each ------------------------------------------------------------


def losses(lines):
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def equal_loss(records, goals):
    out = []
    for r in records:
        curves = {k: losses(v) for k, v in r.result.items() if isinstance(v, list)}
        if len(curves) < 2:
            value = r.result.get("largest_relative_difference")
            out += plain_values(r)
            out += [] if value is None else verdict(goals, "equal-loss",
                                                    "largest_relative_difference", value, True)
            continue
        first = min(curves, key=natural)
        rows, worst = [], 0.0
        for ranks in sorted(curves, key=natural):
            mine, theirs = curves[ranks], curves[first]
            steps = sorted(set(mine) & set(theirs))
            difference = max(abs(mine[s] / theirs[s] - 1) for s in steps)
            worst = max(worst, difference)
            rows.append([ranks, len(steps), f"{mine[steps[0]]:.6f}", f"{mine[steps[-1]]:.6f}",
                         f"{difference:.1e}"])
        out += table(["ranks", "steps compared", "first loss", "last loss",
                      f"largest relative difference from {first}"], rows)
        out += verdict(goals, "equal-loss", "largest_relative_difference", worst, True)
    return out + ["The same with ranks as threads, and the order of the samples, exactly: "
                  "`tests/trainer/train_test.cc`, `tests/data/loader_test.cc`.", ""]


def sums_of(manifest):
    return sorted((p["name"], p["begin"], p["end"], p["xxh3"])
                  for shard in manifest["shards"] for p in shard["pieces"])


def exact_resume(records, _):
    out = []
    for r in records:
        keys = ("whole", "resumed")
        if not all(isinstance(r.result.get(key), list) for key in keys):
            out += plain_values(r)
            continue
        whole, resumed = (losses(r.result[key]) for key in keys)
        rows = [["steps whose loss was logged", len(whole)],
                ["losses that differ in any bit, or are missing",
                 sum(whole.get(s) != resumed.get(s) for s in set(whole) | set(resumed))]]
        manifests = [r.result.get(key + "_manifest") for key in keys]
        if all(manifests):
            a, b = map(sums_of, manifests)
            rows += [["pieces of weights and both moments compared by XXH3", len(a)],
                     ["pieces that differ", len(set(a) ^ set(b))]]
        out += table(["stopped and resumed, against never stopped", r.name], rows)
    return out + ["With ranks as threads: `tests/trainer/train_test.cc`.", ""]


def synth(records, goals):
    out = []
    for r in records:
        data, e = r.part("synth"), r.part("evaluate")
        if "best_ndcg@10" not in data or "metrics" not in e:
            out += plain_values(r)
            continue
        rows = [[m.upper(), f"{e['metrics'][m]:.4f}", f"{data['best_' + m]:.4f}",
                 f"{100 * e['metrics'][m] / data['best_' + m]:.1f} %",
                 f"{data['oracle_' + m]:.4f}"] for m in ("ndcg@10", "hr@10")]
        out += [f"{number(data['items'])} items, {number(data['sequences'])} sequences, "
                f"{number(data['events'])} events; items seen before are not masked.", ""]
        out += table(["", "reached", "best possible, expected", "reached of it",
                      "best ranking on the targets drawn"], rows)
        out += verdict(goals, "synth", "share_of_best_ndcg@10",
                       e["metrics"]["ndcg@10"] / data["best_ndcg@10"])
    return out


def prepare(records, _):
    out = []
    for r in records:
        p = r.result
        if "memory_limit" not in p:
            out += plain_values(r)
            continue
        limit = p["memory_limit"] + p["counter_bytes"]
        rows = [["lines", number(p["lines"])], ["users", number(p["users"])],
                ["items", number(p["items"])], ["input", memory(p["input_bytes"])],
                ["output", memory(p["output_bytes"])],
                ["temporary files, most at a time", memory(p["temp_bytes"])],
                ["`--memory`", memory(p["memory_limit"])],
                ["4-byte counters on top", memory(p["counter_bytes"])],
                ["peak resident size", memory(p["peak_rss_bytes"])],
                ["lines/s", number(p["lines_per_s"])], ["seconds", number(p["seconds"])],
                ["processor seconds", number(p["cpu_seconds"])]]
        out += table(["", r.name], rows)
        out += [f"Peak is {'within' if p['peak_rss_bytes'] <= limit else 'ABOVE'} `--memory` and "
                "the counters.", ""]
    return out


def bench_step(records, goals):
    out = []
    for r in records:
        b = r.result
        if "one_rank" not in b:
            out += plain_values(r)
            continue
        speeds = [b["one_rank"]] + ([b["all_ranks"]] if b["all_ranks"]["ranks"] > 1 else [])
        rows = [["matrix product, one rank's threads", "", "",
                 f"{b['matmul_flops_per_s'] / 1e9:.1f}", ""]]
        for s in speeds:
            ratio = (f"{100 * b['share_of_matmul_rate']:.1f} % of the matrix product" if
                     s is speeds[0] else f"{b['speedup']:.2f} times one rank")
            rows.append([f"training, {s['ranks']} rank{'s' if s['ranks'] > 1 else ''}",
                         number(round(s["median_events_per_s"])),
                         f"{min(s['events_per_s']):,.0f} to {max(s['events_per_s']):,.0f}",
                         f"{s['flops_per_s'] / 1e9:.1f}", ratio])
        out += [f"{b['model']}, {b['repeats']} repeats of {b['steps']} steps in turns, "
                f"{b['threads']} thread{'s' if b['threads'] > 1 else ''} a rank; medians. FLOPs "
                "are those of the matrix products of forward and backward.", ""]
        out += table([r.name, "events/s", "of the repeats", "GFLOP/s", "ratio"], rows)
        out += verdict(goals, "bench-step", "share_of_matmul_rate", b["share_of_matmul_rate"])
        if len(speeds) > 1:
            out += verdict(goals, "bench-step", "speedup", b["speedup"])
        out += table(["part of the step, one rank", "share", "seconds"],
                     [[p["part"], f"{100 * p['share']:.1f} %", f"{p['seconds']:.3f}"]
                      for p in b["parts"]])
    return out


def stops(records, goals):
    out = []
    for r in records:
        series = r.result["series"]
        trials, good = (sum(row[key] for row in series) for key in ("trials", "good"))
        out += [f"{good:,} of {trials:,} trials good. Good is: ended with 75 within a minute, all ranks "
                "gone, the last step saved, no torn checkpoint, resumed without a step twice or missing. "
                "Of signals to mpirun, whose code is its own: ranks gone, and resumed from the last "
                "committed checkpoint.", ""]
        out += table(["asked by", "in", "to", "good", "seconds to the end, median", "longest"],
                     [[row["kind"], row["phase"], row["to"] or "-",
                       f"{row['good']} of {row['trials']}",
                       *(f"{row[key]:.1f}" if row[key] is not None else "-"
                         for key in ("seconds_median", "seconds_longest"))] for row in series])
        for row in series:
            out += [f"- {cell(line)}" for line in row["failed"]]
        out += verdict(goals, "stops", "share_good", good / trials)
    return out


def kernels(records, _):
    out = []
    for r in records:
        by_name = {}
        for k in r.result["kernels"]:
            name = k["kernel"].split("<")[0].split("(")[0]
            by_name.setdefault((k["file"], name), []).append(k)
        architectures = sorted({k["sm"] for k in r.result["kernels"]})
        spilling = sorted({name for (_, name), ks in by_name.items()
                           if any(k["spill_store_bytes"] + k["spill_load_bytes"] for k in ks)})
        rows = []
        for (path, name), ks in sorted(by_name.items()):
            most = [max(k["registers"] for k in ks if k["sm"] == sm) for sm in architectures]
            rows.append([f"{path}: {name}", len(ks) // len(architectures), *most,
                         max(k["shared_bytes"] for k in ks), max(k["stack_bytes"] for k in ks),
                         max(k["spill_store_bytes"] + k["spill_load_bytes"] for k in ks)])
        out += [f"As ptxas of CUDA {r.result['nvcc']} tells it; of a kernel's variants the most. "
                "Shared memory is what a kernel declares, without what a launch asks for on top.", ""]
        out += table(["kernel", "variants", *(f"registers, sm_{sm}" for sm in architectures),
                      "shared, bytes", "stack, bytes", "spilled, bytes"], rows)
        out += [f"{len(by_name)} kernels, {len(r.result['kernels'])} compiled; with spills: "
                f"{', '.join(spilling) or 'none'}.", ""]
    return out


def answers(records, _):
    return ["One history a line in, ten items a line out, from the whole line to the printed answer; "
            "one thread, loading left out.", ""] + table(
                ["model", "answers", "median, ms", "99th percentile, ms"],
                [[r.get("title"), number(r.result["answers"]), f"{r.result['median_ms']:.2f}",
                  f"{r.result['percentile_99_ms']:.2f}"] for r in records])


# Page -> title, and sections: title, names of files, what makes the text. Files that no section
# wants go to the first page.
PAGES = {
    "results.md": ("Results", [
        *ranking_sections.sections(),
        ("The same loss on 1, 2 and 4 ranks", ["equal-loss*"], equal_loss),
        ("Exact resume", ["exact-resume*"], exact_resume),
        ("Synthetic data against the best possible", ["synth*"], synth),
        ("Preparing 50 million lines", ["prepare-50m*"], prepare),
    ]),
    "performance.md": ("Performance", [
        ("Speed of the training step", ["bench-step*"], bench_step),
        ("The output layer against the number of items", ["bench-loss*"], catalogue_sections.loss),
        ("Rows looked up and updated, against the number of items", ["bench-table*"],
         catalogue_sections.rows),
        ("Memory of large tables, planned and taken", ["large-*"], catalogue_sections.plans),
        ("Memory of GPUs, planned and taken", ["plans-*"], catalogue_sections.gpu_plans),
        ("Two ranks on two cores against one", ["scaling-cores*"], scaling_sections.cores),
        ("Two hosts, and communication about as long as compute", ["scaling-hosts*"],
         scaling_sections.hosts),
        ("Modelled against measured", ["scaling-model*", "scaling-points*"], scaling_sections.model),
        ("Answers while one waits: recommend --stdin", ["recommend-stdin*"], answers),
        ("Tests on a GPU", ["gpu-tests*"], gpu_sections.tests),
        ("Speed on a GPU, beside PyTorch's", ["gpu-bench*"], gpu_sections.bench),
        ("CUDA kernels: registers, shared memory, spills", ["kernels*"], kernels),
    ]),
    "reliability.md": ("Reliability", [
        ("Stops, in every way and in every phase", ["stops*"], stops),
    ]),
}


def wanted_by(sections, record):
    return any(fnmatch.fnmatch(record.name, p) for _, patterns, _ in sections for p in patterns)


def page(title, sections, records, rest, goals):
    lines = [f"# {title}", "",
             "Made by `docs/make_results.py` of `docs/results/*.json`, which the commands wrote: "
             "do not edit. How to record one: `docs/record_result.py`.", ""]
    for heading, patterns, section in sections:
        mine = [r for r in records if any(fnmatch.fnmatch(r.name, p) for p in patterns)]
        lines += [f"## {heading}", ""]
        lines += section(mine, goals) + provenance(mine) if mine else ["not measured", ""]
    for r in rest:
        lines += [f"## {r.get('title') or r.name}", ""]
        lines += plain_values(r) if isinstance(r.result, dict) else []
        lines += provenance([r])
    return "\n".join(lines).rstrip() + "\n"


def all_pages(records, goals):
    """Name of the file -> its text."""
    rest = [r for r in records if not any(wanted_by(sections, r) for _, sections in PAGES.values())]
    texts = {}
    for name, (title, sections) in PAGES.items():
        texts[name] = page(title, sections, records, rest, goals)
        rest = []
    return texts


def main():
    with open(os.path.join(DOCS, "goals.json"), encoding="utf-8") as file:
        goals = json.load(file)
    stale = []
    for name, text in all_pages(load(os.path.join(DOCS, "results")), goals).items():
        path = os.path.join(DOCS, name)
        current = open(path, encoding="utf-8").read() if os.path.exists(path) else ""
        if current != text:
            stale.append(name)
        if "--check" not in sys.argv[1:]:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    if "--check" not in sys.argv[1:]:
        return 0
    for name in stale:
        print(f"docs/{name} is stale; run docs/make_results.py")
    if not stale:
        print(f"{', '.join(PAGES)}: up to date")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
