#!/usr/bin/env python3
"""`seqrank evaluate`: what it prints and writes, under each protocol, of several models and seeds.

  evaluate_test.py --list                names of the cases
  evaluate_test.py PROGRAM CASE          runs one
"""
import json
import os
import random
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases
from training import SMALL, make_data

USAGE = 2


def evaluate(program, *options, ranks=1):
    launcher = ["mpirun", "-q", "-np", str(ranks)] if ranks > 1 else []
    done = subprocess.run([*launcher, program, "evaluate", "--data=data.h5", "--json=e.json",
                           "--threads=1", *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with open("e.json", encoding="utf-8") as text:
        return done.stdout, json.load(text)


def train(program, run, *options, steps=10):
    subprocess.run([program, "train", "--data=data.h5", f"--run={run}", "--threads=1", *SMALL,
                    f"--train.steps={steps}", *options], check=True, capture_output=True)


def session_protocol_is_trained_on_and_taken_from_the_run(program):
    make_data(program)
    train(program, "run", "--data.protocol=session")
    told, found = evaluate(program, "--run=run", "--baselines=markov")
    assert found["protocol"] == found["baselines"][0]["protocol"] == "session"
    assert (found["sequences"], found["questions"]) == (30, 30 * 19), found
    assert "30 people, 570 questions" in told, told
    other = subprocess.run([program, "evaluate", "--data=data.h5", "--run=run", "--threads=1",
                            "--protocol=p1"], capture_output=True, text=True)
    assert other.returncode == 0 and "trained under protocol session" in other.stderr, other


def a_model_trained_on_sessions_side_by_side_is_evaluated(program):
    make_data(program)
    train(program, "run", "--data.protocol=session", "--model.name=gru4rec", "--loss.kind=top1_max",
          "--loss.negatives=50", "--train.learning_rate=0.02", steps=200)
    _, found = evaluate(program, "--run=run", "--against=popularity", "--baselines=item_knn")
    assert found["questions"] == 30 * 19, found
    ahead = found["against"][0]["ndcg@10_first_is_ahead_by"]
    assert ahead["standard_errors"] > 2, found


def ctr_needs_a_model_that_scores_clicks(program):
    make_data(program)
    done = subprocess.run([program, "evaluate", "--data=data.h5", "--model.name=popularity",
                           "--protocol=ctr"], capture_output=True, text=True)
    assert done.returncode == USAGE and "protocol ctr" in done.stderr, done


def two_ranks_give_the_same_numbers(program):
    make_data(program)
    options = ["--model.name=markov", "--against=popularity", "--by=popularity,history", "--lists"]
    _, one = evaluate(program, *options)
    _, two = evaluate(program, *options, ranks=2)
    for result in (one, two):
        for part in (result, result["against"][0]):
            del part["seconds"], part["ranks"]
    assert one == two
    assert {"coverage@10", "gini@10", "novelty@10", "popularity_lift@10"} <= set(one["metrics"])
    for by in ("popularity", "history"):
        groups = one["by"][by]
        assert sum(g["questions"] for g in groups) == one["questions"]
        mean = sum(g["questions"] * g["metrics"]["ndcg@10"] for g in groups) / one["questions"]
        assert abs(mean - one["metrics"]["ndcg@10"]) < 1e-9


def new_items_are_found_by_their_features_and_new_people_by_their_scene(program):
    """Four kinds of people have items of their kind alone; after the cut each meets a new one, and
    new people come, to one of two scenes."""
    random.seed(4)
    lines, kinds = [], {}
    for user in range(80):
        for place in range(12):
            item = f"{user % 4}-{random.randrange(15)}"
            lines.append((f"u{user}", item, 1000 + place, f"s{user % 2}"))
        lines.append((f"u{user}", f"{user % 4}-new{user // 40}", 2000, f"s{user % 2}"))
    for user in range(10):  # what is most popular in the one scene and in the other
        lines += [(f"a{user}", f"{scene}-0", 1000 + user, f"s{scene}") for scene in (0, 1)]
        lines.append((f"b{user}", f"{user % 2}-0", 2000, f"s{user % 2}"))
    for _, item, _, _ in lines:
        kinds[item] = item[0]
    with open("in.tsv", "w", encoding="utf-8") as text:
        text.write("user\titem\ttime\tscene\n")
        text.writelines("\t".join(map(str, line)) + "\n" for line in lines)
    with open("kinds.tsv", "w", encoding="utf-8") as text:
        text.write("item\tkind\n")
        text.writelines(f"{item}\tkind {kind}\n" for item, kind in kinds.items())
    subprocess.run([program, "prepare", "--input=in.tsv", "--domain=scene",
                    "--item-features=kinds.tsv", "--item-features-columns=kind",
                    "--output=data.h5"], check=True, capture_output=True)
    cut = ("--data.protocol=temporal", "--data.validation_from=1500", "--data.test_from=1900")
    train(program, "run", *cut, "--train.learning_rate=0.02", steps=100)
    groups = {}
    for cold in ("kept", "features"):
        told, found = evaluate(program, "--run=run", f"--cold-items={cold}",
                               "--by=popularity,history")
        groups[cold] = {by: {g["from"]: g for g in found["by"][by]} for by in found["by"]}
        new = groups[cold]["history"][0]
        assert (new["questions"], new["answered_by"]) == (10, "popularity of the scene"), new
        assert new["metrics"]["hr@10"] == 1 and "0: by popularity" in told, told
        assert groups[cold]["popularity"][0]["questions"] == 80
    ndcg = {cold: groups[cold]["popularity"][0]["metrics"]["ndcg@10"] for cold in groups}
    assert ndcg["features"] > 3 * ndcg["kept"] and ndcg["features"] > 0.2, ndcg


def seeds_are_averaged_before_people_are_paired(program):
    make_data(program)
    for run in ("a1", "a2", "b1", "b2"):
        train(program, run, f"--train.seed={run[1]}", f"--train.learning_rate={0.002 if run < 'b' else 0.02}")
    alone = {run: evaluate(program, f"--run={run}")[1]["metrics"] for run in
             ("a1", "a2", "b1", "b2")}
    told, found = evaluate(program, "--run=a1,a2", "--against=b1,b2", "--baselines=popularity")
    assert [s["metrics"] for s in found["seeds"]] == [alone["a1"], alone["a2"]]
    both = found["against"][0]
    for part, runs in ((found, ("a1", "a2")), (both, ("b1", "b2"))):
        values = [alone[run]["ndcg@10"] for run in runs]
        assert abs(part["metrics"]["ndcg@10"] - statistics.mean(values)) < 1e-12
        assert abs(part["deviation_over_seeds"]["ndcg@10"] - statistics.stdev(values)) < 1e-12
    ahead = both["ndcg@10_first_is_ahead_by"]
    difference = found["metrics"]["ndcg@10"] - both["metrics"]["ndcg@10"]
    assert abs(ahead["mean"] - difference) < 1e-12 and ahead["people"] == 300, ahead
    assert abs(ahead["standard_errors"] - ahead["mean"] / ahead["standard_error"]) < 1e-9
    assert "a1,a2" in told and "b1,b2" in told and "popularity" in told, told
    _, apart = evaluate(program, "--run=a1", "--against=b1,b2")
    assert [other["model"] for other in apart["against"]] == ["b1", "b2"]


if __name__ == "__main__":
    cases.main({case.__name__: case for case in (
        session_protocol_is_trained_on_and_taken_from_the_run,
        a_model_trained_on_sessions_side_by_side_is_evaluated,
        ctr_needs_a_model_that_scores_clicks, two_ranks_give_the_same_numbers,
        new_items_are_found_by_their_features_and_new_people_by_their_scene,
        seeds_are_averaged_before_people_are_paired)})
