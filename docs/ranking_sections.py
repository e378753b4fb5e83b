"""Sections of docs/make_results.py on how well models rank real data. A file DATA_CONFIG-seedN.json
holds {"train": `seqrank train`, "evaluate": `seqrank evaluate`} of launch/configs/DATA_CONFIG.ini
(docs/record_model.sh writes it); DATA_CONFIG-against-OTHER.json holds {"evaluate": ...} of several
seeds with --against, paired.
"""
from result_tables import mean_and_error, number, spread, table, verdict

# By name of the data: what it is, and the metrics to show.
DATA = {
    "ml-1m": (
        "MovieLens-1M as published with SASRec, protocol p1: each person's last item is the test "
        "target, the epoch is chosen on the second-last, all items are ranked, items of the "
        "history are masked, ties count against the model.",
        ("ndcg@10", "hr@1", "hr@5", "hr@10", "mrr@10")),
    "ml-1m-ratings": (
        "Click-through on MovieLens-1M, all ratings in order, protocol ctr: is the next rating at "
        "least 4? The last 10 % of each person's events are the test, the 10 % before choose the "
        "epoch.",
        ("auc", "auc_per_user", "log_loss", "accuracy", "f1")),
    "diginetica": (
        "Diginetica, protocol session: the published test prefixes, all items are ranked, items of "
        "the session too.",
        ("hr@20", "mrr@20", "ndcg@20", "hr@10", "mrr@10")),
    "food": (
        "Amazon Food, one of two scenes of the same people, protocol p1. `_from_kitchen`: trained on "
        "the other scene first, of which it takes over all but the item table, and then tuned.",
        ("ndcg@10", "hr@10", "mrr@10")),
    "kitchen": (
        "Amazon Kitchen, the other scene, likewise.",
        ("ndcg@10", "hr@10", "mrr@10")),
    "yelp-a": (
        "Yelp with times, protocol p1.",
        ("ndcg@10", "hr@10", "mrr@10")),
}


def label(record):
    """ml-1m_sasrec-seed2 -> sasrec"""
    return record.name.split("_", 1)[1].rsplit("-seed", 1)[0]


def runs_and_baselines(records):
    """Label -> its evaluations: one a seed, of a counted model one in all."""
    by_label = {}
    for r in records:
        first = r.part("evaluate")
        by_label.setdefault(label(r), []).append(first)
        for baseline in first.get("baselines", []):
            by_label.setdefault(baseline["model"], [baseline])
    return by_label


def one_run(record, metric):
    e, train = record.part("evaluate"), record.result.get("train", {})
    return [record.name, f"{e['metrics'][metric]:.4f}", number(train.get("best_step", "-")),
            number(float(train["seconds"])) if "seconds" in train else "-",
            number(train.get("ranks", "-")), number(e["sequences"]), number(e.get("ties", "-"))]


def paired(records):
    """What `evaluate --against` found."""
    rows = []
    for r in records:
        e = r.part("evaluate")
        for other in e.get("against", []):
            for key, ahead in other.items():
                metric, found, _ = key.partition("_first_is_ahead_by")
                if found:
                    rows.append([r.name, metric.upper(), f"{ahead['mean']:+.4f}",
                                 f"{ahead['standard_error']:.4f}",
                                 f"{ahead['standard_errors']:+.1f}"])
    if not rows:
        return []
    return ["Paired person by person, mean over seeds first.", ""] + table(
        ["", "of", "ahead by", "standard error", "of them"], rows)


def section(data):
    words, metrics = DATA[data]

    def make(records, goals):
        seeds = [r for r in records if "-seed" in r.name]
        by_label = runs_and_baselines(seeds)
        by_first = sorted(by_label, key=lambda name: by_label[name][0]["metrics"][metrics[0]])
        rows = [[name, len(by_label[name])]
                + [spread([e["metrics"][m] for e in by_label[name]]) for m in metrics]
                for name in by_first]
        lines = [words + " Mean +- standard error over runs with different seeds, where there are "
                 "several.", ""]
        lines += table(["model", "runs"] + [m.upper() for m in metrics], rows)
        for name in by_first:
            mean, _ = mean_and_error([e["metrics"][metrics[0]] for e in by_label[name]])
            found = verdict(goals, f"{data}_{name}", metrics[0], mean)
            lines += [f"{name}: {found[0]}", ""] if found else []
        lines += paired(r for r in records if "-against-" in r.name)
        lines += table(["run", metrics[0].upper(), "best step", "training seconds", "ranks",
                        "questions", "ties"], [one_run(r, metrics[0]) for r in seeds])
        return lines

    return make


def sections():
    titles = {"ml-1m": "Ranking on MovieLens-1M", "ml-1m-ratings": "Click-through on MovieLens-1M",
              "diginetica": "Sessions of Diginetica", "food": "Two scenes: Food", "kitchen": "Two scenes: Kitchen",
              "yelp-a": "Times: Yelp"}
    return [(titles[data], [f"{data}_*"], section(data)) for data in DATA]
