#!/usr/bin/env python3
"""Runs the real program on wrong inputs.

Each case gives one clear line on standard error, the documented exit code, and leaves nothing under
the final name, nor any temporary file beside it.

  wrong_input_test.py --list              names of the cases
  wrong_input_test.py PROGRAM CASE        runs one; exit 77 = skipped, with the reason
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile

USAGE, DATA, PEERS, CHECKPOINT = 2, 3, 5, 6
SKIPPED = 77


def good_text(lines=2000):
    return "user\titem\ttime\n" + "".join(
        f"u{i % 50}\ti{i * 7 % 90}\t{1000 + i}\n" for i in range(lines))


def write(name, text):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)


def make_text(_):
    write("good.tsv", good_text())


def make_empty(_):
    write("empty.csv", "")


def make_header_only(_):
    write("header.tsv", "user\titem\ttime\n")


def make_bad_lines(_):
    lines = good_text(10000).splitlines()
    for at in range(50, 10000, 100):  # 1 %
        lines[at] = "only-one-column"
    write("bad.tsv", "\n".join(lines) + "\n")


def make_dataset(program):
    subprocess.run([program, "synth", "--items=60", "--sequences=40", "--length=12", "--clusters=4",
                    "--output=good.h5"], check=True, stdout=subprocess.DEVNULL)


def make_truncated(program):
    make_dataset(program)
    size = os.path.getsize("good.h5")
    with open("good.h5", "rb") as whole, open("truncated.h5", "wb") as file:
        file.write(whole.read(size * 2 // 3))


def make_falling_times(_):
    try:
        import h5py
        import numpy
    except ImportError:
        print("skipped: python3-h5py is not installed")
        sys.exit(SKIPPED)
    with h5py.File("falling.h5", "w") as file:
        file.attrs["schema_version"] = 1
        file["/sequence/offset"] = numpy.array([0, 4, 8], dtype="i8")
        file["/event/item"] = numpy.array([0, 1, 2, 0, 1, 2, 0, 1], dtype="i4")
        file["/event/time"] = numpy.array([1, 2, 3, 4, 5, 9, 7, 8], dtype="i8")


def make_wrong_ini(_):
    write("wrong.ini", "[train]\nsteps = 10\nlearning_rat = 1e-3\n")


def make_duplicate_ini(_):
    write("twice.ini", "[train]\nsteps = 10\n[model]\nwidth = 8\n[train]\nsteps = 11\n")


def make_text_as_h5(_):
    write("text.h5", good_text(10))


TRAIN = ["train", "--run=run", "--train.steps=2"]
PREPARE = ["prepare", "--output=out.h5"]

# name: (what to make first, arguments, exit code, what the line must say, names that must not exist)
CASES = {
    "prepare_wrong_path": (None, PREPARE + ["--input=nowhere.csv"], DATA, ["nowhere.csv"],
                           ["out.h5"]),
    "prepare_empty_file": (make_empty, PREPARE + ["--input=empty.csv"], DATA, ["empty.csv"],
                           ["out.h5"]),
    "prepare_header_only": (make_header_only, PREPARE + ["--input=header.tsv"], DATA,
                            ["header.tsv"], ["out.h5"]),
    "prepare_bad_lines": (make_bad_lines, PREPARE + ["--input=bad.tsv"], DATA, ["bad.tsv", "51"],
                          ["out.h5"]),
    "prepare_unknown_column": (make_text, PREPARE + ["--input=good.tsv", "--user=who"], DATA,
                               ["who", "user"], ["out.h5"]),
    "prepare_no_folder": (make_text, ["prepare", "--input=good.tsv", "--output=no/such/out.h5"],
                          DATA, ["no/such"], ["no"]),
    "prepare_tiny_memory": (make_text, PREPARE + ["--input=good.tsv", "--memory=12MB"], USAGE,
                            ["memory", "12MB"], ["out.h5"]),
    "prepare_over_titles": (make_text, ["prepare", "--input=good.tsv", "--titles=good.tsv",
                                        "--output=good.tsv"], USAGE, ["both input and output"], []),
    "prepare_json_over_input": (make_text, PREPARE + ["--input=good.tsv", "--json=./good.tsv"],
                                USAGE, ["--json=./good.tsv", "--input"], ["out.h5"]),
    "prepare_json_over_test": (make_text, PREPARE + ["--input=good.tsv", "--test=test.tsv",
                                                     "--json=test.tsv"], USAGE,
                               ["--json=test.tsv", "--test"], ["out.h5", "test.tsv"]),
    "prepare_label_of_numbers": (make_text, PREPARE + ["--input=good.tsv", "--label=time"],
                                 DATA, ["label", "--positive"], ["out.h5"]),
    "prepare_positive_without_label": (make_text, PREPARE + ["--input=good.tsv", "--positive=4"],
                                       USAGE, ["--label"], ["out.h5"]),
    "prepare_two_splits": (make_text, PREPARE + ["--input=good.tsv", "--split-by-prefix",
                                                 "--split-column=user"], USAGE,
                           ["--split-by-prefix"], ["out.h5"]),
    "prepare_core_above_length": (make_text, PREPARE + ["--input=good.tsv", "--max-length=4",
                                                        "--core-user=5"], USAGE,
                                  ["--max-length 4", "--core-user 5"], ["out.h5"]),
    "inspect_json_over_data": (make_dataset, ["inspect", "good.h5", "--json=good.h5"], USAGE,
                               ["--json=good.h5"], []),
    "prepare_no_output": (make_text, ["prepare", "--input=good.tsv"], USAGE, ["--output"], []),
    "train_wrong_path": (None, TRAIN + ["--data=nowhere.h5"], DATA, ["nowhere.h5"], ["run"]),
    "train_no_data": (None, TRAIN, USAGE, ["--data"], ["run"]),
    "train_empty_file": (make_empty, TRAIN + ["--data=empty.csv"], DATA, ["empty.csv"], ["run"]),
    "train_text_file": (make_text_as_h5, TRAIN + ["--data=text.h5"], DATA, ["text.h5"], ["run"]),
    "train_truncated_file": (make_truncated, TRAIN + ["--data=truncated.h5"], DATA,
                             ["truncated.h5"], ["run"]),
    "train_falling_times": (make_falling_times, TRAIN + ["--data=falling.h5"], DATA,
                            ["falling.h5", "/event/time"], ["run"]),
    "train_unknown_option": (make_dataset, TRAIN + ["--data=good.h5", "--train.stpes=3"], USAGE,
                             ["train.stpes", "train.steps"], ["run"]),
    "train_short_batch_option": (make_dataset, TRAIN + ["--data=good.h5", "--batch=-1"], USAGE,
                                 ["batch", "train.batch"], ["run"]),
    "train_negative_batch": (make_dataset, TRAIN + ["--data=good.h5", "--train.batch=-1"], USAGE,
                             ["train.batch", "-1", "from 1 to"], ["run"]),
    "train_not_a_number": (make_dataset, TRAIN + ["--data=good.h5", "--train.learning_rate=1e-3x"],
                           USAGE, ["train.learning_rate", "1e-3x"], ["run"]),
    "train_unknown_model": (make_dataset, TRAIN + ["--data=good.h5", "--model.name=atention_rnn"],
                            USAGE, ["atention_rnn", "attention_rnn"], ["run"]),
    "train_counted_model": (make_dataset, TRAIN + ["--data=good.h5", "--model.name=popularity"],
                            USAGE, ["popularity", "evaluate"], ["run/checkpoints"]),
    "train_wrong_key_in_file": (make_wrong_ini, TRAIN + ["--data=x.h5", "--config=wrong.ini"],
                                USAGE, ["wrong.ini:3", "train.learning_rate"], ["run"]),
    "train_key_twice_in_file": (make_duplicate_ini, ["train", "--config=twice.ini"], USAGE,
                                ["twice.ini:6", "twice.ini:2"], ["run"]),
    "train_missing_config": (None, ["train", "--config=nowhere.ini"], USAGE, ["nowhere.ini"], []),
    "evaluate_without_model": (make_dataset, ["evaluate", "--data=good.h5"], USAGE, ["--run"], []),
    "evaluate_no_run": (make_dataset, ["evaluate", "--data=good.h5", "--run=nowhere"], CHECKPOINT,
                        ["nowhere"], ["nowhere"]),
    "evaluate_untrained": (make_dataset,
                           ["evaluate", "--data=good.h5", "--model.name=attention_rnn"], USAGE,
                           ["attention_rnn", "--run"], []),
    "recommend_unknown_user": (make_dataset, ["recommend", "--data=good.h5", "--users=nobody",
                                              "--model.name=popularity"], USAGE, ["nobody"], []),
    "json_cannot_be_written": (make_dataset, ["inspect", "good.h5", "--json=no/such.json"], DATA,
                               ["no/such.json"], ["no"]),
    "inspect_wrong_path": (None, ["inspect", "nowhere"], DATA, ["nowhere"], []),
    "unknown_command": (None, ["trian"], USAGE, ["trian", "'train'"], []),
}


def fail(message):
    sys.exit("FAILED: " + message)


def check_result(result, code, words):
    lines = result.stderr.splitlines()
    if result.returncode != code:
        fail(f"exit code {result.returncode}, expected {code}; stderr: {result.stderr!r}")
    if len(lines) != 1 or not lines[0].startswith("seqrank: "):
        fail(f"expected one line that starts with 'seqrank: ', got {lines}")
    for word in words:
        if word not in lines[0]:
            fail(f"{word!r} is missing in: {lines[0]}")
    if any(ord(c) < 32 for c in lines[0]):
        fail(f"control characters in: {lines[0]!r}")
    print(lines[0])


def run_case(program, name):
    make, arguments, code, words, absent = CASES[name]
    if make:
        make(program)
    before = set(os.listdir("."))
    result = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)
    check_result(result, code, words)
    for path in absent:
        if os.path.exists(path):
            fail(f"{path} was left behind")
    if arguments[0] != "train" and set(os.listdir(".")) != before:
        fail(f"left behind: {set(os.listdir('.')) - before}")


def run_full_disk(program, arguments):
    """The output folder is a file system of 256 KiB, in a mount name space of its own."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "-r"]
    if subprocess.run([*unshare, "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
                      capture_output=True).returncode != 0:
        print("skipped: no file system may be mounted here, not even in a name space")
        sys.exit(SKIPPED)
    os.mkdir("full")
    script = ('mount -t tmpfs -o size=256k tmpfs full && "$@"; code=$?; ls -A full >left; '
              'exit $code')
    result = subprocess.run([*unshare, "sh", "-c", script, "sh", program, *arguments],
                            capture_output=True, text=True, timeout=120)
    with open("left", encoding="utf-8") as file:
        left = file.read()
    return result, left


def full_disk_prepare(program):
    write("good.tsv", good_text(200000))
    result, left = run_full_disk(
        program, ["prepare", "--input=good.tsv", "--output=full/out.h5", "--memory=4M"])
    check_result(result, DATA, ["full", "No space left"])
    if left:
        fail(f"left on the full disk: {left.split()}")


def full_disk_synth(program):
    result, left = run_full_disk(
        program, ["synth", "--sequences=20000", "--output=full/out.h5"])
    check_result(result, DATA, ["full", "No space left"])
    if left:
        fail(f"left on the full disk: {left.split()}")


def full_disk_train(program):
    """There is room for a few checkpoints, not for all that are to be kept."""
    make_dataset(program)
    result, _ = run_full_disk(program, ["train", "--run=full/run", "--train.steps=20",
                                        "--train.save_every=1", "--train.keep=20",
                                        "--data=good.h5", "--model.width=16"])
    if result.returncode != CHECKPOINT:
        fail(f"exit code {result.returncode}, expected {CHECKPOINT}; stderr: {result.stderr!r}")
    errors = [line for line in result.stderr.splitlines() if line.startswith("seqrank: ")]
    if len(errors) != 1 or "make room" not in errors[0]:
        fail(f"expected one line that starts with 'seqrank: ', got {errors}")


def disk_too_small_to_train(program):
    """Not one checkpoint would fit: found before step 1."""
    make_dataset(program)
    result, left = run_full_disk(program, ["train", "--run=full/run", "--train.steps=2",
                                           "--data=good.h5", "--model.width=128"])
    check_result(result, CHECKPOINT, ["full/run", "KiB free", "two checkpoints"])
    if left:
        fail(f"left on the small disk: {left.split()}")


def term_ends_a_command_that_does_not_poll(program):
    """Its input never comes, so it can only be ended by the signal."""
    reader, writer = os.pipe()
    process = subprocess.Popen([program, *PREPARE, "--input=-"], stdin=reader,
                               stderr=subprocess.DEVNULL)
    os.close(reader)
    process.terminate()
    if process.wait(timeout=60) != -signal.SIGTERM:
        fail(f"exit {process.returncode}")
    os.close(writer)
    if os.path.exists("out.h5"):
        fail("out.h5 was left behind")


def full_standard_output(program):
    make_dataset(program)
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run([program, "inspect", "good.h5"], stdout=full,
                                stderr=subprocess.PIPE, text=True, timeout=120)
    check_result(result, DATA, ["standard output", "No space left"])


def help_into_closed_pipe(program):
    """`seqrank train --help | head -1` ends quietly with 0."""
    for words in (["--help"], ["train", "--help"], ["train", "--print-config"]):
        reader, writer = os.pipe()
        os.close(reader)
        result = subprocess.run([program, *words], stdout=writer, stderr=subprocess.PIPE, text=True)
        os.close(writer)
        if result.returncode != 0 or result.stderr:
            fail(f"{words}: exit {result.returncode}, stderr {result.stderr!r}")


def two_ranks_one_line(program):
    """An error that strikes all ranks is told once."""
    if shutil.which("mpirun") is None:
        print("skipped: there is no mpirun")
        sys.exit(SKIPPED)
    for words, code, told in ((["--data=nowhere.h5"], DATA, "nowhere.h5"),
                              (["--batch=-1"], USAGE, "train.batch")):
        result = subprocess.run(["mpirun", "-q", "-np", "2", program, "train", "--run=run", *words],
                                capture_output=True, text=True, timeout=120)
        lines = result.stderr.splitlines()
        if result.returncode != code or len(lines) != 1 or told not in lines[0]:
            fail(f"exit {result.returncode}, stderr {result.stderr!r}")


def one_rank_without_its_configuration(program):
    """An error that strikes one rank before it has joined the others is told, with the rank."""
    if shutil.which("mpirun") is None:
        print("skipped: there is no mpirun")
        sys.exit(SKIPPED)
    result = subprocess.run(
        ["mpirun", "-q", "-np", "1", program, "train", "--run=run", "--data=good.h5", ":",
         "-np", "1", program, "train", "--run=run", "--data=good.h5", "--config=nowhere.ini"],
        capture_output=True, text=True, timeout=120)
    check_result(result, USAGE, ["rank 1", "nowhere.ini"])


SPECIAL = {
    "one_rank_without_its_configuration": one_rank_without_its_configuration,
    "full_disk_prepare": full_disk_prepare,
    "full_disk_synth": full_disk_synth,
    "full_disk_train": full_disk_train,
    "disk_too_small_to_train": disk_too_small_to_train,
    "full_standard_output": full_standard_output,
    "help_into_closed_pipe": help_into_closed_pipe,
    "term_ends_a_command_that_does_not_poll": term_ends_a_command_that_does_not_poll,
    "two_ranks_one_line": two_ranks_one_line,
}


def main():
    if sys.argv[1:] == ["--list"]:
        print(";".join([*CASES, *SPECIAL]), end="")
        return
    program, name = os.path.abspath(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory(prefix="seqrank-wrong-input-") as folder:
        os.chdir(folder)
        if name in SPECIAL:
            SPECIAL[name](program)
        else:
            run_case(program, name)
        os.chdir("/")


if __name__ == "__main__":
    main()
