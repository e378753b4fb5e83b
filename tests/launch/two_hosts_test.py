#!/usr/bin/env python3
"""Trains with the real program over two hosts that are joined by a slow wire.

  two_hosts_test.py --list                    names of the cases
  two_hosts_test.py PROGRAM CASE WIRE         runs one; exit 77 = skipped, with the reason
"""
import glob
import os
import re
import subprocess
import sys
import tempfile
import time

SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support")
sys.path[:0] = [SUPPORT, os.path.join(SUPPORT, "two_hosts")]
import hosts
from training import SMALL, losses, make_data, sums

PEERS = 5


def train(program, run, *more):
    return [program, "train", "--data=data.h5", f"--run={run}", "--threads=1", *SMALL, *more]


def slow_wire_gives_the_same_bits_as_one_host(program, wire):
    more = ["--train.steps=60"]
    subprocess.run(["mpirun", "-q", "-np", "2", *train(program, "one", *more)], check=True,
                   stdout=subprocess.DEVNULL)
    with hosts.TwoHosts(hosts.Wire(wire, mbit=200, delay_us=1000)) as two:
        subprocess.run(two.mpirun(*train(program, "two", *more)), check=True,
                       stdout=subprocess.DEVNULL)
    moved = min(two.link.report["bytes_there"], two.link.report["bytes_back"])
    assert moved > 60 * 1000, f"the ranks did not talk over the wire: {two.link.report}"
    assert sorted(losses("one")) == list(range(1, 61))
    assert losses("one") == losses("two")
    assert sums("one", 60) == sums("two", 60)


def ranks_alive():
    alive = 0
    for path in glob.glob("/proc/[0-9]*/stat"):  # of this test alone: it has its own /proc
        try:
            with open(path, encoding="utf-8") as file:
                _, name, state = re.match(r"(\d+) \((.*)\) (\S)", file.read()).groups()
            alive += name == "seqrank" and state != "Z"
        except OSError:
            pass  # ended meanwhile
    return alive


def cut_wire_ends_every_rank_and_names_the_silent_one(program, wire):
    with hosts.TwoHosts(hosts.Wire(wire, mbit=1000, delay_us=500)) as two:
        # mpirun ends when the kernel gives its connection to the other host up: here after seconds,
        # not after 15 minutes. The ranks do not wait for that.
        for host in two.hosts:
            host.call("sysctl", "-q", "net.ipv4.tcp_retries2=4")
        run = subprocess.Popen(
            two.mpirun(*train(program, "run", "--train.steps=1000000", "--peer-timeout=4")),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        deadline = time.time() + 60
        while not (os.path.exists("run/metrics.jsonl")
                   and os.path.getsize("run/metrics.jsonl") > 2000):
            assert run.poll() is None and time.time() < deadline, "training did not start"
            time.sleep(0.05)
        assert ranks_alive() == 2
        two.link.cut()
        deadline = time.time() + 30
        while ranks_alive():
            assert time.time() < deadline, "a rank is still there 30 s after the cut"
            time.sleep(0.1)
        lines = [line for line in run.communicate(timeout=60)[1].splitlines() if "seqrank" in line]
        assert run.returncode == PEERS, (run.returncode, lines)
        assert len(lines) == 1 and re.search(
            r"^seqrank: rank 0: \w+ #\d+ \(.*\): .*no word from rank 1 \(h2\)", lines[0]), lines


CASES = {f.__name__: f for f in (slow_wire_gives_the_same_bits_as_one_host,
                                 cut_wire_ends_every_rank_and_names_the_silent_one)}


def main():
    if sys.argv[1:] == ["--list"]:
        print(";".join(CASES), end="")
        return
    program, case, wire = os.path.abspath(sys.argv[1]), sys.argv[2], os.path.abspath(sys.argv[3])
    hosts.skip_unless_allowed()
    hosts.enter_own_space()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            make_data(program)
            CASES[case](program, wire)
        finally:
            os.chdir("/")


if __name__ == "__main__":
    main()
