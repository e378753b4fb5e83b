#!/usr/bin/env python3
"""What a person sees of a training: a bar on a real (pseudo-)terminal, plain lines elsewhere.

  progress_test.py --list                 names of the cases
  progress_test.py PROGRAM CASE           runs one
"""
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases  # noqa: E402

STOPPED_RESUMABLE = 75
ERASE = "\x1b[K"


def make_data(program):
    subprocess.run([program, "synth", "--items=200", "--sequences=300", "--length=20",
                    "--clusters=8", "--output=data.h5"], check=True, stdout=subprocess.DEVNULL)


def train_command(program, run, steps=100, evaluate_every=0):
    return [program, "train", "--data=data.h5", f"--run={run}", "--model.width=16",
            "--train.batch=16", f"--train.steps={steps}",
            f"--train.evaluate_every={evaluate_every}"]


class Watched:
    """A command whose standard error is read as it comes: a pipe, or a terminal of its own."""

    def __init__(self, command, columns=0, kind="xterm"):
        if columns > 0:
            self.reader, writer = pty.openpty()
            fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        else:
            self.reader, writer = os.pipe()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=writer,
                                        env={**os.environ, "TERM": kind})
        os.close(writer)
        self.sent = ""

    def read_until(self, pattern):
        """False when the end comes first."""
        while not re.search(pattern, self.sent):
            try:
                block = os.read(self.reader, 65536).decode()
            except OSError:  # a terminal whose other side is closed
                block = ""
            if not block:
                os.close(self.reader)
                return False
            self.sent += block
        return True

    def read_to_end(self):
        """Gives the exit code."""
        self.read_until("(?!)")
        return self.process.wait()


def bars(sent):
    """What was drawn over and over, in order; lines of their own are left out."""
    return [part.split(ERASE)[0] for part in sent.replace("\r\n", "\n").split("\r")[1:]
            if not part.startswith(ERASE)]


def left_to_read(sent):
    """Lines as they stand at the end: of what was drawn over, the last."""
    return [line.split("\r")[-1].replace(ERASE, "")
            for line in sent.replace("\r\n", "\n").split("\n")]


def has_control_characters(text):
    return any(ord(c) < 32 and c != "\n" for c in text)


def bar_on_a_terminal_fits_its_width(program):
    make_data(program)
    for columns in (80, 40, 10):
        watched = Watched(train_command(program, f"run{columns}", evaluate_every=2), columns)
        assert watched.read_to_end() == 0, watched.sent
        drawn = bars(watched.sent)
        assert drawn and max(map(len, drawn)) < columns, drawn
        assert not any(map(has_control_characters, drawn)), drawn
        left = left_to_read(watched.sent)
        assert sum(line.startswith("step ") for line in left) == 3, left
        assert left[-1] == "" and left[-2] == drawn[-1] and "100 %" in drawn[-1], left


def bar_says_time_left_loss_and_events(program):
    make_data(program)
    watched = Watched(train_command(program, "run", 1000000), 80)
    assert watched.read_until(" left "), watched.sent
    watched.process.send_signal(signal.SIGUSR1)
    assert watched.read_to_end() == STOPPED_RESUMABLE, watched.sent
    wanted = r"\[#*\.+\] +\d+ %  .* left  loss \d\.\d{4}  [\d,]+ events/s"
    assert re.search(wanted, bars(watched.sent)[-1]), bars(watched.sent)


def lines_in_a_pipe_and_on_a_dumb_terminal(program):
    make_data(program)
    for columns in (0, 80):
        watched = Watched(train_command(program, f"run{columns}"), columns, "dumb")
        assert watched.read_to_end() == 0, watched.sent
        sent = watched.sent.replace("\r\n", "\n") if columns else watched.sent
        assert not has_control_characters(sent), sent
        shares = re.findall(r"^training +(\d+) %  \d+ of 100 steps  .*loss .*events/s", sent, re.M)
        assert [int(share) // 10 for share in shares] == list(range(1, 11)), sent


def lines_in_a_file(program):
    make_data(program)
    with open("told", "w", encoding="utf-8") as told:
        subprocess.run(train_command(program, "run"), check=True, stdout=subprocess.DEVNULL,
                       stderr=told, timeout=120)
    with open("told", encoding="utf-8") as told:
        sent = told.read()
    assert sent.count("training ") == 10 and not has_control_characters(sent), sent


def lines_say_time_left(program):
    make_data(program)
    watched = Watched(train_command(program, "run", 4000))
    assert watched.read_until("training "), watched.sent
    watched.process.send_signal(signal.SIGSTOP)  # there is no estimate in the first second
    time.sleep(1.1)
    watched.process.send_signal(signal.SIGCONT)
    assert watched.read_until(" left "), watched.sent
    watched.process.send_signal(signal.SIGUSR1)
    assert watched.read_to_end() in (0, STOPPED_RESUMABLE), watched.sent


def lines_of_one_rank_under_mpirun(program):
    make_data(program)
    watched = Watched(["mpirun", "-q", "-np", "2", "--bind-to", "none", "--oversubscribe",
                       *train_command(program, "run")], 80)
    assert watched.read_to_end() == 0, watched.sent
    sent = watched.sent.replace("\r\n", "\n")
    assert sent.count("training ") == 10 and not has_control_characters(sent), sent


def stages_of_prepare_end_at_100(program):
    """Of two inputs, the first is read to its end before the second."""
    with open("big.tsv", "w", encoding="utf-8") as text:
        text.write("user\titem\ttime\n")
        text.writelines(f"u{i % 5000}\ti{i * 7 % 900}\t{i}\n" for i in range(140000))
    watched = Watched([program, "prepare", "--input=big.tsv,big.tsv", "--output=out.h5"], 80)
    assert watched.read_to_end() == 0, watched.sent
    left = [line for line in left_to_read(watched.sent) if line]
    assert [line.split("  ")[0] for line in left] == ["reading lines", "reading lines",
                                                      "numbering items", "grouping users"], left
    assert all("100 %" in line for line in left), left


CASES = {f.__name__: f for f in (
    bar_on_a_terminal_fits_its_width,
    bar_says_time_left_loss_and_events,
    lines_in_a_pipe_and_on_a_dumb_terminal,
    lines_in_a_file,
    lines_say_time_left,
    lines_of_one_rank_under_mpirun,
    stages_of_prepare_end_at_100,
)}


if __name__ == "__main__":
    cases.main(CASES)
