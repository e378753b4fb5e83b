"""Small training runs of the real program, for tests: their data, options, and what they leave."""
import json
import subprocess

STOPPED_RESUMABLE = 75
SMALL = ["--model.width=16", "--train.batch=16", "--train.log_every=1", "--train.evaluate_every=0"]


def make_data(program, name="data.h5"):
    subprocess.run([program, "synth", "--items=200", "--sequences=300", "--length=20",
                    "--clusters=8", f"--output={name}"], check=True, stdout=subprocess.DEVNULL)


def losses(run):
    """By step; a step that is there twice is an error."""
    result = {}
    with open(f"{run}/metrics.jsonl", encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if "loss" in line:
                assert line["step"] not in result, f"step {line['step']} twice"
                result[line["step"]] = line["loss"]
    return result


def sums(run, step):
    """What the checkpoint says of the bits of every weight and moment."""
    with open(f"{run}/checkpoints/step-{step:08d}/manifest.json", encoding="utf-8") as text:
        manifest = json.JSONDecoder().raw_decode(text.read())[0]
    return sorted((p["name"], p["begin"], p["end"], p["xxh3"])
                  for shard in manifest["shards"] for p in shard["pieces"])
