#!/usr/bin/env python3
"""recommend and explain as people call them: into files, among candidates, histories on standard
input, the picture. Of a counted model on a data set written here, whose ranking is known.

  recommend_test.py --list               names of the cases
  recommend_test.py PROGRAM CASE         runs one
"""
import csv
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases
from training import SMALL, make_data


def run(program, *words, stdin="", code=0):
    done = subprocess.run([program, *words], input=stdin, capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done


def data(program):
    """After b comes c three times, d once; a, b, c and d are popular in this order."""
    lines = ["user,item"]
    for user, items in {"u1": "abcab", "u2": "abcda", "u3": "bcaab", "u4": "abdaa"}.items():
        lines += [f"{user},{item}" for item in items]
    with open("d.csv", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    run(program, "prepare", "--input=d.csv", "--output=d.h5")
    return ["--model.name=markov", "--data=d.h5", "--evaluate.seen=kept"]


def answers(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def keys(items):
    return [item["item"] for item in items]


def counted_models_take_their_options(program):
    """Item b is near a by one step, c by two: models that count neighbours differ by how far."""
    call = ["recommend", *data(program)[1:], "--users=u1,u2,u3,u4", "--k=4"]
    told = [run(program, *call, "--model.name=item_knn", *words).stdout
            for words in ([], ["--model.neighbours=1"], ["--model.neighbours=100"])]
    assert told[0] == told[2] != told[1], told
    with open("m.ini", "w", encoding="utf-8") as file:
        file.write("[model]\nname = item_knn\nneighbours = 1\n")
    assert run(program, *call, "--config=m.ini").stdout == told[1]
    refused = run(program, *call, "--model.name=markov", "--model.neighbours=1", code=2).stderr
    assert "model.neighbours" in refused and refused.count("\n") == 1, refused


def files(program):
    call = data(program) + ["--users=all", "--k=2"]
    run(program, "recommend", *call, "--output=r.csv")
    run(program, "recommend", *call, "--output=r.jsonl")
    run(program, "recommend", *call, "--output=r.h5")
    with open("r.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with open("r.jsonl", encoding="utf-8") as file:
        people = [json.loads(line) for line in file]
    assert len(rows) == 8 and len(people) == 4, (rows, people)
    assert [row["item"] for row in rows] == [k for one in people for k in keys(one["items"])]
    shown = run(program, "inspect", "r.h5").stdout
    assert "score" in shown, shown
    wrong = run(program, "recommend", *call, "--output=r.txt", code=2)
    assert "--output=r.txt" in wrong.stderr, wrong.stderr


def candidates(program):
    call = data(program) + ["--users=u1", "--k=4"]
    with open("c.txt", "w", encoding="utf-8") as file:
        file.write("d\n\n c \n")
    run(program, "recommend", *call, "--candidates=c.txt", "--output=r.jsonl")
    with open("r.jsonl", encoding="utf-8") as file:
        assert sorted(keys(json.loads(file.read())["items"])) == ["c", "d"]
    with open("c.txt", "a", encoding="utf-8") as file:
        file.write("nothing\n")
    assert "no item nothing" in run(program, "recommend", *call, "--candidates=c.txt", code=2).stderr
    assert "--diversity" in run(program, "recommend", *call, "--diversity=0.5", code=2).stderr


def stream(program):
    call = data(program)
    lines = ['{"items": ["a", "b"], "id": 7, "k": 1}', "", '{"user": "u1", "k": 1}',
             '{"items": ["?"], "id": "x"}', "no JSON", '{"items": ["a"], "times": [1, 2]}',
             '{"items": ["d"], "k": 9}', '{"items": ["d"], "user": "u1"}',
             '{"items": ["d"], "time": [3]}', "{}"]
    done = run(program, "recommend", *call, "--stdin", "--json=s.json", stdin="\n".join(lines))
    got = answers(done)
    assert len(got) == 9, got
    assert got[0]["id"] == 7 and keys(got[0]["items"]) == ["c"], got[0]
    assert keys(got[1]["items"]) == ["c"], got[1]
    assert got[2] == {"id": "x", "error": "there is no item ?"}, got[2]
    assert "parse error" in got[3]["error"] and "2 times of 1 events" in got[4]["error"], got
    assert len(got[5]["items"]) == 4, got[5]
    assert "both" in got[6]["error"] and '"time"' in got[7]["error"], got
    assert "neither" in got[8]["error"], got
    with open("s.json", encoding="utf-8") as file:
        summary = json.load(file)
    assert summary["answers"] == 9 and summary["errors"] == 6, summary
    assert 0 < summary["median_ms"] <= summary["percentile_99_ms"], summary
    assert "--stdin" in run(program, "recommend", *call, "--stdin", "--users=u1", code=2).stderr


def people_without_history_get_what_is_popular_in_their_scene(program):
    with open("d.csv", "w", encoding="utf-8") as file:
        file.write("user,item,scene\n")
        for user in ("u1", "u2", "u3"):  # the last two events of each are not for training
            file.writelines(f"{user},{item},{scene}\n" for item, scene in (
                ("a", "tea"), ("a", "tea"), ("b", "tea"), ("c", "nut"), ("x", "tea"), ("x", "tea")))
    run(program, "prepare", "--input=d.csv", "--domain=scene", "--output=d.h5")
    with open("c.txt", "w", encoding="utf-8") as file:
        file.write("b\nx\n")
    lines = ['{"items": [], "domain": "tea"}', '{"items": [], "domain": "nut"}', '{"items": []}',
             '{"items": [], "domain": "?"}']
    call = ["recommend", "--model.name=markov", "--data=d.h5", "--stdin", "--k=2"]
    got = answers(run(program, *call, stdin="\n".join(lines)))
    assert [keys(answer["items"]) for answer in got[:3]] == [["a", "b"], ["c"], ["a", "b"]], got
    assert got[0]["items"][0]["score"] == 6 and got[3] == {"error": "there is no scene ?"}, got
    among = answers(run(program, *call, "--candidates=c.txt", stdin=lines[0]))
    assert keys(among[0]["items"]) == ["b"], among


def stream_answers_at_once(program):
    """The answer is there before the next question is asked."""
    with subprocess.Popen([program, "recommend", *data(program), "--stdin"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as server:
        for history, best in ((["a", "b"], "c"), (["c"], "a")):
            server.stdin.write(json.dumps({"items": history, "k": 1}) + "\n")
            server.stdin.flush()
            assert keys(json.loads(server.stdout.readline())["items"]) == [best]
        server.stdin.close()
        assert server.wait(60) == 0


def explains(program):
    call = data(program) + ["--users=u1"]
    run(program, "explain", *call, "--k=2", "--json=e.json")
    with open("e.json", encoding="utf-8") as file:
        explanations = json.load(file)["explanations"]
    assert [e["rank"] for e in explanations] == [1, 2], explanations
    assert explanations[0]["item"] == "c" and len(explanations[0]["events"]) == 5, explanations
    # Only the last event counts for a first-order chain.
    effects = [event["effect"] for event in explanations[0]["events"]]
    assert effects[:4] == [0, 0, 0, 0] and effects[4] > 0, effects
    if shutil.which("gnuplot"):
        run(program, "explain", *call, "--item=d", "--svg=e.svg")
        with open("e.svg", encoding="utf-8") as file:
            picture = file.read()
        assert "score lost without it" in picture and "d for user u1" in picture, picture[:2000]


def explains_clicks(program):
    """The item that is asked about pays attention; where it is told more of, it must be named."""
    with open("d.csv", "w", encoding="utf-8") as file:
        file.write("user,item,rating\n")
        for u in range(20):
            file.writelines(f"u{u},i{(3 * u + 5 * e) % 11},{(u + e) % 5 + 1}\n" for e in range(12))
    with open("f.csv", "w", encoding="utf-8") as file:
        file.write("item,kind\n")
        file.writelines(f"i{v},{'abc'[v % 3]}\n" for v in range(11))
    run(program, "prepare", "--input=d.csv", "--label=rating", "--positive=4",
        "--item-features=f.csv", "--item-features-columns=kind", "--output=d.h5")
    call = ["--data=d.h5", "--users=u3", "--json=e.json"]
    weights = {}
    for name, words in (("soft", ["--model.name=target_attention"]),
                        ("hard", ["--model.name=target_attention", "--model.attention=hard"]),
                        ("din", ["--model.name=din", "--model.target_input=kind"])):
        run(program, "train", "--data=d.h5", f"--run={name}", "--threads=1", *SMALL, *words,
            "--data.protocol=ctr", "--train.steps=5")
        told = run(program, "explain", f"--run={name}", *call, "--item=i7").stdout
        explanation = read("e.json")["explanations"][0]
        weights[name] = [event["attention"] for event in explanation["events"]]
        assert explanation["attention_sums_to_one"] == (name != "din"), explanation
        assert ("attention, of any sum" in told) == (name == "din"), told
        assert (explanation["rank"] is None) == (name == "din"), explanation
        assert ("place" in told) == (name != "din"), told
        assert any(event["effect"] != 0 for event in explanation["events"]), explanation
    asked = answers(run(program, "recommend", "--run=soft", "--data=d.h5", "--stdin",
                        stdin='{"items": ["i1"]}\n{"user": "u3"}\n'))
    assert "labels of events" in asked[0]["error"] and '"user"' in asked[0]["error"], asked
    assert "error" not in asked[1], asked
    assert len(weights["soft"]) == 12 and abs(sum(weights["soft"]) - 1) < 1e-5, weights
    assert sorted(weights["hard"]) == [0] * 11 + [1], weights
    refused = run(program, "explain", "--run=din", *call, code=2).stderr
    assert "--item is missing" in refused and refused.count("\n") == 1, refused
    refused = run(program, "explain", "--run=din", *call, "--item=?", code=2).stderr
    assert "has no such item" in refused and refused.count("\n") == 1, refused


def tables_over_two_ranks(program):
    """The same answers as from one rank that has the whole table, and who is answered by whom."""
    make_data(program)
    run(program, "train", "--data=data.h5", "--run=run", "--threads=1", *SMALL, "--train.steps=10")
    call = ["--run=run", "--data=data.h5", "--threads=1"]
    two = ["--table.split=yes"]
    histories = "\n".join(['{"user": "3"}', '{"items": ["c3-1", "c2-0"]}', '{"items": ["?"]}', "no JSON"])
    with open("c.txt", "w", encoding="utf-8") as file:
        file.write("c6-0\nc3-0\nc5-1\nc4-0\n")
    for words, kind in ((["recommend", "--users=0,1,2,7,8"], "recommendations"),
                        (["recommend", "--users=all", "--k=3", "--diversity=0.5"], "recommendations"),
                        (["recommend", "--users=5", "--candidates=c.txt"], "recommendations"),
                        (["explain", "--users=5,1", "--k=2"], "explanations"),
                        (["explain", "--users=5", "--item=c3-1"], "explanations"),
                        (["evaluate", "--lists"], None)):
        for ranks, options in ((1, []), (2, two)):
            done = run_ranks(ranks, program, *words, *call, *options, f"--json={ranks}.json")
            assert ranks == 1 or kind is None or len(done.stdout) > 100, done.stdout
        one, there = (read(f"{ranks}.json") for ranks in (1, 2))
        if kind is None:
            one, there = one["metrics"], there["metrics"]
            assert "coverage@10" in one, one
        else:
            one, there = one[kind], there[kind]
        assert one and alike(one, there), (words, one, there)
    told = [run_ranks(ranks, program, "recommend", "--stdin", "--k=4", *call, *options,
                      stdin=histories).stdout for ranks, options in ((1, []), (2, two))]
    one, there = ([json.loads(line) for line in text.splitlines()] for text in told)
    assert len(one) == 4 and "error" in one[2] and alike(one, there), told
    refused = run_ranks(2, program, "recommend", *call, "--users=1", code=2).stderr
    assert "--table.split=yes" in refused and "without mpirun" in refused, refused


def stream_ends_where_one_rank_alone_has_trouble(program):
    """Rank 1 reads a file that lacks a person: nobody waits for its part of the answer."""
    for name, person in (("d", "u3"), ("e", "w3")):
        with open(f"{name}.csv", "w", encoding="utf-8") as file:
            file.write("user,item\n")
            for u in ("u1", "u2", person):
                file.writelines(f"{u},i{(e * e + len(u)) % 11}\n" for e in range(12))
        run(program, "prepare", f"--input={name}.csv", f"--output={name}.h5")
    run(program, "train", "--data=d.h5", "--run=run", "--threads=1", *SMALL, "--train.steps=3")
    call = [program, "recommend", "--run=run", "--stdin", "--threads=1", "--table.split=yes", "--k=2"]
    ranks = ["mpirun", "-q", "--bind-to", "none", "--oversubscribe", "-np", "1", *call,
             "--data=d.h5", ":", "-np", "1", *call, "--data=e.h5"]
    told = run(*ranks, stdin='{"user": "u1"}\n{"user": "?"}\n').stdout.splitlines()
    assert "items" in told[0] and "no user ?" in told[1], told
    begun = time.monotonic()
    done = run(*ranks, stdin='{"user": "u1"}\n{"user": "u3"}\n{"user": "u1"}\n', code=3)
    assert time.monotonic() - begun < 30, "the others waited"
    assert len(done.stdout.splitlines()) == 1, done.stdout
    assert "rank 1 cannot answer what rank 0 can" in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def alike(a, b):
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(alike, a, b))
    return abs(a - b) < 1e-4 if isinstance(a, float) else a == b


def run_ranks(ranks, *words, **more):
    launcher = ["mpirun", "-q", "--bind-to", "none", "--oversubscribe", "-np", "2"]
    return run(*(launcher if ranks > 1 else []), *words, **more)


if __name__ == "__main__":
    cases.main({f.__name__: f for f in (
        files, candidates, stream, people_without_history_get_what_is_popular_in_their_scene,
        stream_answers_at_once, explains, explains_clicks, tables_over_two_ranks,
        counted_models_take_their_options,
        stream_ends_where_one_rank_alone_has_trouble)})
