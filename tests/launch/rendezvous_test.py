#!/usr/bin/env python3
"""Trains with ranks that are started one by one, without mpirun, and meet over TCP.

  rendezvous_test.py --list                names of the cases
  rendezvous_test.py PROGRAM CASE          runs one; exit 77 = skipped, with the reason
"""
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import cases
from training import SMALL, STOPPED_RESUMABLE, losses, make_data, sums

USAGE, DATA, DEVICE, PEERS = 2, 3, 4, 5
SKIPPED = 77


def free_port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def by_address():
    """Options and environment."""
    return ["--rendezvous=tcp"], {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port())}


def by_file():
    return ["--rendezvous=file", "--rendezvous-file=meeting"], {}


def words(program, run, *more, device="cpu"):
    return [program, "train", "--data=data.h5", f"--run={run}", "--threads=1",
            f"--device={device}", *SMALL, *more]


def start(program, run, ranks, *more, meeting=by_address, device="cpu"):
    options, environment = meeting()
    return [subprocess.Popen(words(program, run, *more, *options, device=device),
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                             env={**os.environ, **environment, "RANK": str(rank),
                                  "WORLD_SIZE": str(ranks)})
            for rank in range(ranks)]


def finish(processes):
    """Exit codes by rank, and the program's error lines."""
    lines = [line for process in processes for line in process.communicate(timeout=60)[1].splitlines()
             if line.startswith("seqrank:")]
    return [process.returncode for process in processes], lines


def same_bits_as_under_mpirun(program):
    make_data(program)
    subprocess.run(["mpirun", "-q", "-np", "2", *words(program, "mpi", "--train.steps=60")],
                   check=True, stdout=subprocess.DEVNULL)
    for meeting in by_address, by_file:
        run = meeting.__name__
        assert finish(start(program, run, 2, "--train.steps=60", meeting=meeting)) == ([0, 0], [])
        assert sorted(losses("mpi")) == list(range(1, 61))
        assert losses("mpi") == losses(run)
        assert sums("mpi", 60) == sums(run, 60)


def wait_for_steps(run, processes):
    deadline = time.time() + 60
    while not (os.path.exists(f"{run}/metrics.jsonl")
               and os.path.getsize(f"{run}/metrics.jsonl") > 2000):
        assert all(p.poll() is None for p in processes), "training has ended"
        assert time.time() < deadline, "training did not start"
        time.sleep(0.05)


def usr1_to_one_rank_stops_all_and_they_resume(program):
    make_data(program)
    processes = start(program, "run", 3, "--train.steps=1000000")
    wait_for_steps("run", processes)
    processes[1].send_signal(signal.SIGUSR1)
    assert finish(processes)[0] == [STOPPED_RESUMABLE] * 3
    last = max(losses("run"))
    assert finish(start(program, "run", 3, f"--train.steps={last + 10}"))[0] == [0] * 3
    assert sorted(losses("run")) == list(range(1, last + 11))


def killed_rank_ends_the_others_and_is_named(program):
    make_data(program)
    processes = start(program, "run", 3, "--train.steps=1000000")
    wait_for_steps("run", processes)
    processes[1].kill()
    codes, lines = finish(processes)
    assert codes == [PEERS, -signal.SIGKILL, PEERS], (codes, lines)
    assert len(lines) == 1 and re.search(r"^seqrank: rank 0: .*rank 1 \(.*\) is gone", lines[0]), \
        lines


def failing_rank_ends_all_with_its_code(program):
    make_data(program)
    processes = start(program, "run", 3, "--train.steps=1000000",
                      "--train.fault=train.step:rank=1:fail")
    codes, lines = finish(processes)
    assert len(set(codes)) == 1 and codes[0] not in (0, STOPPED_RESUMABLE), (codes, lines)
    assert len(lines) == 1 and "rank 1" in lines[0], lines


def error_of_all_ranks_is_told_once(program):
    codes, lines = finish(start(program, "run", 3))  # there is no data set
    assert codes == [DATA] * 3, (codes, lines)
    assert len(lines) == 1, lines


def missing_variables_are_named(program):
    for meeting, more, name in (
            (["--rendezvous=tcp"], {}, "RANK"),
            (["--rendezvous=tcp"], {"RANK": "0", "WORLD_SIZE": "two"}, "WORLD_SIZE"),
            (["--rendezvous=tcp"], {"RANK": "0", "WORLD_SIZE": "2"}, "MASTER_ADDR"),
            (["--rendezvous=file"], {"RANK": "0", "WORLD_SIZE": "2"}, "--rendezvous-file")):
        done = subprocess.run(words(program, "run", *meeting), capture_output=True, text=True,
                              env={**os.environ, **more}, timeout=60)
        lines = done.stderr.splitlines()
        assert done.returncode == USAGE and len(lines) == 1 and name in lines[0], done


def skip_without_two_devices(processes):
    """Of a run that ends well where there are two."""
    codes, lines = finish(processes)
    if DEVICE in codes:
        print("skipped:", lines[0])
        sys.exit(SKIPPED)
    assert (codes, lines) == ([0, 0], [])


def nccl_between_processes_has_the_losses_of_the_cpu(program):
    make_data(program)
    skip_without_two_devices(start(program, "cuda", 2, "--train.steps=20", device="cuda"))
    assert finish(start(program, "cpu", 2, "--train.steps=20")) == ([0, 0], [])
    cuda, cpu = losses("cuda"), losses("cpu")
    assert sorted(cuda) == list(range(1, 21))
    for step, loss in cpu.items():
        assert abs(cuda[step] - loss) < 1e-3 * loss, (step, cuda[step], loss)


def rank_that_is_lost_ends_a_host_that_waits_for_its_gpu(program):
    make_data(program)
    skip_without_two_devices(start(program, "short", 2, "--train.steps=1", device="cuda"))
    for lost, pattern in ((signal.SIGKILL, "."), (signal.SIGSTOP, "4 s without progress")):
        run = f"run-{lost.name}"
        processes = start(program, run, 2, "--train.steps=1000000",
                          "--peer-timeout=4", device="cuda")
        wait_for_steps(run, processes)
        processes[1].send_signal(lost)
        assert processes[0].wait(timeout=60) == PEERS
        processes[1].kill()
        lines = finish(processes)[1]
        assert len(lines) == 1 and re.search(f"^seqrank: rank 0: .*{pattern}", lines[0]), lines


if __name__ == "__main__":
    cases.main({f.__name__: f for f in (
        same_bits_as_under_mpirun,
        usr1_to_one_rank_stops_all_and_they_resume,
        killed_rank_ends_the_others_and_is_named,
        failing_rank_ends_all_with_its_code,
        error_of_all_ranks_is_told_once,
        missing_variables_are_named,
        nccl_between_processes_has_the_losses_of_the_cpu,
        rank_that_is_lost_ends_a_host_that_waits_for_its_gpu)})
