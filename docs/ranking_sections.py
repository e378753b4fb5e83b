"""Sections of docs/make_results.py on how well models rank real data. A file DATA_CONFIG-seedN.json
holds {"train": `seqrank train`, "evaluate": `seqrank evaluate`} of launch/configs/DATA_CONFIG.ini
(docs/record_model.sh writes it); DATA_CONFIG-against-OTHER.json holds {"evaluate": ...} of several
seeds with --against, paired.
"""
import re

from result_tables import mean_and_error, memory, number, spread, table, verdict

# By name of the data: what it is, and the metrics to show.
DATA = {
    "ml-1m": (
        "MovieLens-1M as published with SASRec, protocol p1: each person's last item is the test "
        "target, the epoch is chosen on the second-last, all items are ranked, items of the "
        "history are masked, ties count against the model. Dropout, learning rate and epochs of "
        "sasrec, sasrec_negatives and attention_rnn_wide, and the width of the last, were chosen by "
        "the validation of seed 1 among the settings under \"Settings tried\". `_rows_fp32` and "
        "`_rows_bf16`: items by row-wise Adagrad in a short training of one block, to be compared with "
        "each other alone.",
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
        "Yelp with times, protocol p1. `_no_times`: knows places in the sequence alone; `_pretrain`: "
        "finds hidden items and is asked likewise; `_pretrained`: goes on from there at the rate of "
        "the others, `_pretrained_low` at a quarter of it; `_longer`: twice the epochs, as many as "
        "both together.",
        ("ndcg@10", "hr@10", "mrr@10")),
    "kuairand": (
        "KuaiRand-1K, protocol session: 944,384 items, of which 214,557 are in no training sequence; "
        "the last item of each of 1,000 test sequences is asked, items of the history are ranked "
        "too. `_exact`: one epoch at width 32 with the softmax over all items; `_exact_200_steps`: "
        "at width 64. All three on a GPU that a dozen other trainings used at the same time.",
        ("ndcg@10", "hr@10", "hr@20", "mrr@20")),
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
            number(round(train["events_per_s"])) if "events_per_s" in train else "-",
            memory(sum(train["peak_bytes"].values())) if "peak_bytes" in train else "-",
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
        told = [r.name for r in records if r.get("from_log")]
        if told:
            lines += ["Of these the JSON was lost after the run; here is what their logs printed, which "
                      "the files quote: " + ", ".join(told) + ".", ""]
        lines += table(["run", metrics[0].upper(), "best step", "training seconds",
                        "events/s", "memory of a rank", "ranks",
                        "questions", "ties"], [one_run(r, metrics[0]) for r in seeds])
        return lines

    return make


def trials(records, goals):
    """Settings among which one was chosen: their options, and validation alone."""
    rows = []
    for r in records:
        config, options = re.search(r"configs/(\S+)\.ini .*--rendezvous=tcp(.*?)--train\.tensorboard",
                                    r.get("command")).groups()
        told = [word.split("=", 1) for word in options.split()]
        train = r.part("train")
        rows.append([r.name[4:], config, ", ".join(f"{key[2:]} {value}" for key, value in told),
                     f"{train['best_ndcg@10']:.4f}", number(train["best_step"])])
    rows.sort(key=lambda row: (row[1], row[3]))
    return ["One seed each; options besides those of the configuration as it was at that commit, and "
            "the best NDCG@10 of validation. About twenty more were looked at before, and not kept.",
            ""] + table(["setting", "configuration", "with", "validation", "step"], rows)


def sections():
    titles = {"ml-1m": "Ranking on MovieLens-1M", "ml-1m-ratings": "Click-through on MovieLens-1M",
              "diginetica": "Sessions of Diginetica", "food": "Two scenes: Food", "kitchen": "Two scenes: Kitchen",
              "yelp-a": "Times: Yelp", "kuairand": "A large catalogue: KuaiRand"}
    return ([(titles[data], [f"{data}_*"], section(data)) for data in DATA]
            + [("Settings tried on MovieLens-1M", ["try_*"], trials)])
