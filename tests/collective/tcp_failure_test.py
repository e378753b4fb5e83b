#!/usr/bin/env python3
"""Jobs of three processes that meet by TCP, in which rank 1 does something wrong: every process
ends, with one line of one of them.

  tcp_failure_test.py --list              names of the cases
  tcp_failure_test.py PROGRAM CASE        runs one (PROGRAM: tcp_failing_rank)
"""
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from cases import main

RANKS = 3


def run(program, fault):
    """Exit codes by rank, and all lines."""
    ranks = [subprocess.Popen([program, str(rank), str(RANKS), "meeting", fault],
                              stderr=subprocess.PIPE, text=True) for rank in range(RANKS)]
    if fault == "stopped":  # by itself it would never end
        for rank in (0, 2):
            ranks[rank].wait()
        ranks[1].kill()
    lines = [line for rank in ranks for line in rank.communicate()[1].splitlines()]
    return [rank.returncode for rank in ranks], lines


def check(program, fault, codes, pattern):
    found, lines = run(program, fault)
    assert found == codes, (found, lines)
    assert len(lines) == 1 and re.search(pattern, lines[0]), lines


def throw(program):
    check(program, "throw", [3, 3, 3], "^rank 1: no such file$")


def throw_in_flight(program):
    check(program, "in_flight", [3, 3, 3], "^rank 1: no such file$")


def unwound_world(program):
    found, lines = run(program, "unwound_world")
    assert found == [5, 5, 5] and not lines, (found, lines)


def killed(program):
    check(program, "killed", [5, -signal.SIGKILL, 5],
          r"^rank 0: all_reduce #2 .*: rank 1 \(.*\) is gone")


def killed_while_nobody_calls(program):
    check(program, "killed_while_idle", [5, -signal.SIGKILL, 5],
          r"^seqrank: rank 0: rank 1 \(.*\) is gone")


def stopped(program):
    check(program, "stopped", [5, -signal.SIGKILL, 5],
          r"^rank 0: all_reduce #2 .*1 s without progress: no word from rank 1 \(")


def mismatch(program):
    check(program, "mismatch", [5, 5, 5],
          "^rank [02]: the ranks call different .*rank [02] all_reduce #2.*rank 1 all_gather #2")


def elsewhere(program):
    check(program, "elsewhere", [5, 5, 5],
          "^rank [012]: the ranks call different .* of another communicator")


def counts(program):
    check(program, "counts", [5, 5, 5], "^rank [02]: the ranks call different .*99999 elements")


if __name__ == "__main__":
    main({f.__name__: f for f in (throw, throw_in_flight, unwound_world, killed,
                                  killed_while_nobody_calls, stopped, mismatch, elsewhere, counts)})
