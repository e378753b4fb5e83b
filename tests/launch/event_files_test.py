#!/usr/bin/env python3
"""TensorBoard's event files of real runs, read by a reader that shares nothing with the writer, and
by TensorBoard's own where Python has it.

  event_files_test.py --list              names of the cases
  event_files_test.py PROGRAM CASE FAULTS runs one; exit 77 = skipped, with the reason

FAULTS is the library of planted_faults.c.
"""
import glob
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from event_file_reader import read_file, records

SKIPPED = 77
STEP_SCALARS = ("loss", "lr", "grad_norm", "events_per_s")
START = 1


def event_paths(run):
    return sorted(glob.glob(f"{run}/events.out.tfevents.*"))


def shown(run):
    """{tag: {step: value}} that TensorBoard's rules leave of all files of a run."""
    result = {}
    for path in event_paths(run):
        events = read_file(path)
        assert events[0]["version"] == "brain.Event:2", events[0]
        assert events[1].get("session") == START, events[1]
        for event in events[1:]:
            if event.get("session") == START:
                for steps in result.values():
                    for step in [s for s in steps if s >= event["step"]]:
                        del steps[step]
            for tag, value in event.get("scalars", {}).items():
                steps = result.setdefault(tag, {})
                assert event["step"] not in steps, f"{tag} at {event['step']} twice"
                steps[event["step"]] = value
    return result


def as_float(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def expected(run):
    """The same from metrics.jsonl."""
    result = {}
    with open(f"{run}/metrics.jsonl", encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if "split" in line:
                scalars = {f"{line['split']}/{name}": v for name, v in line["metrics"].items()}
            else:
                scalars = {f"train/{name}": line[name] for name in STEP_SCALARS}
            for tag, value in scalars.items():
                result.setdefault(tag, {})[line["step"]] = as_float(value)
    return result


def train_command(program, *more):
    return [program, "train", "--data=data.h5", "--run=run", "--model.width=16",
            "--train.batch=16", "--train.log_every=1", *more]


def train(program, *more):
    if not os.path.exists("data.h5"):
        subprocess.run([program, "synth", "--items=200", "--sequences=300", "--length=20",
                        "--clusters=8", "--output=data.h5"], check=True,
                       stdout=subprocess.DEVNULL)
    return subprocess.run(train_command(program, *more), check=True, capture_output=True, text=True,
                          timeout=120)


def killed_and_resumed(program):
    """A run killed well after its last checkpoint, then finished. Gives the step it got to."""
    train(program, "--train.steps=40")
    process = subprocess.Popen(train_command(program, "--train.steps=1000000"),
                               stderr=subprocess.DEVNULL)
    deadline = time.time() + 60
    while len(event_paths("run")) < 2 or os.path.getsize(event_paths("run")[1]) < 20000:
        assert process.poll() is None and time.time() < deadline, "training did not go on"
        time.sleep(0.02)
    process.kill()
    process.wait()
    last = read_file(event_paths("run")[1])[-1]["step"]
    train(program, f"--train.steps={last + 10}")
    return last


def reader_of_tensorboard():
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        print("skipped: Python has no tensorboard (pip install tensorboard)")
        sys.exit(SKIPPED)
    return EventAccumulator


def tensorboard_scalars(run):
    """{tag: {step: value}} as TensorBoard reads them."""
    accumulator = reader_of_tensorboard()(run, size_guidance={"scalars": 0},
                                          purge_orphaned_data=True)
    accumulator.Reload()
    result = {}
    for tag in accumulator.Tags()["scalars"]:
        events = accumulator.Scalars(tag)
        result[tag] = {event.step: event.value for event in events}
        assert len(result[tag]) == len(events), f"{tag}: a step twice"
    return result


def torn_copies(folder):
    """In `folder` the events of a run, cut at every byte of the last record: what is left whole."""
    path, = event_paths("run")
    with open(path, "rb") as file:
        data = file.read()
    messages = list(records(data))
    for end in range(len(data) - 16 - len(messages[-1]), len(data)):
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        with open(f"{folder}/{os.path.basename(path)}", "wb") as file:
            file.write(data[:end])
        yield len(messages) - 1


def values_are_those_of_metrics_jsonl(program):
    begin = time.time()
    train(program, "--train.steps=60")
    wanted = expected("run")
    assert sorted(wanted["train/loss"]) == list(range(1, 61))
    assert max(wanted["validation/ndcg@10"]) == 60 and "validation/hr@10" in wanted
    assert shown("run") == wanted
    path, = event_paths("run")
    times = [event["wall_time"] for event in read_file(path)]
    assert begin <= times[0] and times == sorted(times) and times[-1] <= time.time(), times


def killed_and_resumed_run_shows_each_step_once(program):
    last = killed_and_resumed(program)
    first, second, third = (read_file(path) for path in event_paths("run"))
    assert first[1]["step"] == 1 and second[1]["step"] == 41, (first[1], second[1])
    assert 41 < third[1]["step"] <= last, f"{third[1]}: nothing of {last} steps to be forgotten"
    assert shown("run") == expected("run")
    assert sorted(shown("run")["train/loss"]) == list(range(1, last + 11))


def tensorboard_reads_the_same(program):
    reader_of_tensorboard()
    train(program, "--train.steps=60")
    assert tensorboard_scalars("run") == expected("run")


def tensorboard_forgets_what_a_killed_run_wrote(program):
    reader_of_tensorboard()
    killed_and_resumed(program)
    assert tensorboard_scalars("run") == expected("run")


def torn_last_record_is_passed_over(program):
    train(program, "--train.steps=3", "--train.evaluate_every=0")
    for left in torn_copies("torn"):
        assert len(read_file(*event_paths("torn"))) == left


def tensorboard_passes_over_a_torn_last_record(program):
    reader_of_tensorboard()
    train(program, "--train.steps=3", "--train.evaluate_every=0")
    for left in torn_copies("torn"):
        assert len(tensorboard_scalars("torn")["train/loss"]) == left - 2


def reader_of_this_test_finds_any_flipped_bit(program):
    """Else the cases above would show little."""
    train(program, "--train.steps=2", "--train.evaluate_every=0")
    path, = event_paths("run")
    with open(path, "rb") as file:
        data = bytearray(file.read())
    for at in range(len(data)):
        data[at] ^= 1 << at % 8
        try:
            list(records(bytes(data)))
        except AssertionError:
            data[at] ^= 1 << at % 8
            continue
        raise AssertionError(f"byte {at} changed, and nothing was found")


def unwritable_events_do_not_end_a_run(program):
    train(program, "--train.steps=20")
    faulty = {"LD_PRELOAD": FAULTS, "PLANTED_OPEN_REFUSED": "tfevents"}
    result = subprocess.run(train_command(program, "--train.steps=40"), capture_output=True,
                            text=True, timeout=120, env={**os.environ, **faulty})
    assert result.returncode == 0, result
    told = [line for line in result.stderr.splitlines() if "TensorBoard" in line]
    assert len(told) == 1 and "Permission denied" in told[0], result.stderr
    assert len(event_paths("run")) == 1
    assert sorted(expected("run")["train/loss"]) == list(range(1, 41))


def none_when_not_wanted(program):
    train(program, "--train.steps=5", "--train.tensorboard=no")
    assert not event_paths("run")
    train(program, "--train.steps=10", "--train.tensorboard=yes")
    assert sorted(shown("run")["train/loss"]) == list(range(6, 11))


CASES = {f.__name__: f for f in (
    values_are_those_of_metrics_jsonl,
    killed_and_resumed_run_shows_each_step_once,
    torn_last_record_is_passed_over,
    reader_of_this_test_finds_any_flipped_bit,
    unwritable_events_do_not_end_a_run,
    none_when_not_wanted,
    tensorboard_reads_the_same,
    tensorboard_forgets_what_a_killed_run_wrote,
    tensorboard_passes_over_a_torn_last_record,
)}


def main():
    if sys.argv[1:] == ["--list"]:
        print(";".join(CASES), end="")
        return
    program, case = os.path.abspath(sys.argv[1]), sys.argv[2]
    global FAULTS
    FAULTS = os.path.abspath(sys.argv[3])
    with tempfile.TemporaryDirectory(prefix="seqrank-event-files-") as folder:
        os.chdir(folder)
        try:
            CASES[case](program)
        finally:
            os.chdir("/")


if __name__ == "__main__":
    main()
