#!/usr/bin/env python3
"""Submits the scripts of slurm/, edited in nothing but their paths, to a real Slurm of two nodes.

  batch_scripts_test.py --list                names of the cases
  batch_scripts_test.py PROGRAM CASE          runs one; exit 77 = skipped, with the reason
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [f"{ROOT}/tests/support", f"{ROOT}/tests/support/slurm",
                f"{ROOT}/tests/support/two_hosts"]
import cluster as slurm
import hosts
from training import SMALL, losses, make_data, sums

STEPS = 200
# A step takes a hundredth of a second at the least: a run is still there when it is interrupted.
SLOW = "--train.fault=train.step:rank=0:sleep=10"


class Jobs:
    """Submits scripts to a cluster and looks after what becomes of them."""

    def __init__(self, cluster, program):
        self.cluster = cluster
        self.program = program

    def submit(self, script, run, *words, options=(), launcher="srun"):
        """The job's number. `run` is its run folder, or the folder of its runs."""
        with open(f"{ROOT}/slurm/{script}", encoding="utf-8") as file:
            text = file.read()
        edits = {"home": ROOT, "seqrank": self.program, "data": os.path.abspath("data.h5"),
                 "runs" if script == "sweep.sbatch" else "run": os.path.abspath(run)}
        if launcher != "srun":
            edits["launcher"] = launcher
        for name, value in edits.items():
            text, found = re.subn(f"^{name}=.*", f"{name}={value}", text, flags=re.M)
            assert found == 1, f"{script} has {found} lines {name}="
        with open(f"{run}.sbatch", "w", encoding="utf-8") as file:
            file.write(text)
        return self.cluster.submit(*options, file.name, *SMALL, f"--train.steps={STEPS}", *words)

    def wait_for_steps(self, job, run, more=5):
        """Until `more` steps have been logged since now."""
        before = lines_in(f"{run}/metrics.jsonl")
        self.cluster.wait_until(lambda: lines_in(f"{run}/metrics.jsonl") >= before + more,
                                lambda: f"{run} does not get on; {self.log(job)}")

    def wait_for_state(self, job, state, seconds=60):
        self.cluster.wait_until(
            lambda: self.cluster.state(job) == state,
            lambda: f"job {job} is {self.cluster.state(job)}, not {state}; {self.log(job)}",
            seconds)

    def wait_until_requeued(self, job, times):
        self.cluster.wait_until(lambda: self.cluster.restarts(job) == times,
                                lambda: f"job {job} is not requeued; {self.log(job)}")

    def restart(self, job, times):
        """Waits until the job is requeued for the `times`th time and lets it start. By itself
        Slurm holds it back for two minutes, in which the nodes get done with what ran before."""
        self.wait_until_requeued(job, times)
        self.cluster.wait_until(lambda: not processes("slurmstepd"),
                                lambda: "a node does not get done")
        self.cluster.call("scontrol", "update", f"jobid={job}", "StartTime=now+1")

    def finish(self, job, restarts):
        """Until it is done; it must have been requeued `restarts` times."""
        self.wait_for_state(job, "COMPLETED")
        assert self.cluster.restarts(job) == restarts, (self.cluster.restarts(job), self.log(job))

    def log(self, job):
        text = ""
        for path in sorted(glob.glob(f"slurm-{job}.log") + glob.glob(f"slurm-{job}_*.log")):
            with open(path, encoding="utf-8") as file:
                text += file.read()
        return text


def lines_in(path):
    try:
        with open(path, encoding="utf-8") as file:
            return sum(1 for _ in file)
    except FileNotFoundError:
        return 0


def processes(name):
    """How many of this name there are in this test: it has its own /proc."""
    found = subprocess.run(["pgrep", "-c", "-x", name], stdout=subprocess.PIPE, text=True)
    return int(found.stdout)


def preempted_and_requeued_on_two_nodes_is_bitwise_the_same(jobs):
    jobs.finish(jobs.submit("train_nodes.sbatch", "whole"), restarts=0)
    job = jobs.submit("train_nodes.sbatch", "parts", SLOW)
    jobs.wait_for_steps(job, "parts")
    # What --signal=B:USR1 makes Slurm do before the end of the time.
    jobs.cluster.call("scancel", "--signal=USR1", "--batch", job)
    jobs.restart(job, 1)
    jobs.wait_for_steps(job, "parts")
    urgent = jobs.cluster.submit("--partition=urgent", "--nodes=2", "--exclusive", "--wrap=true")
    jobs.wait_for_state(urgent, "COMPLETED")
    jobs.restart(job, 2)
    jobs.finish(job, restarts=2)
    assert "on 4 ranks" in jobs.log(job), jobs.log(job)
    assert sorted(losses("whole")) == list(range(1, STEPS + 1))
    assert losses("whole") == losses("parts")
    assert sums("whole", STEPS) == sums("parts", STEPS)


def end_of_the_time_requeues_a_run_on_one_node(jobs):
    # A minute is Slurm's shortest time. Three seconds into it there is too little left.
    job = jobs.submit("train.sbatch", "run", "--train.fault=train.step:rank=0:sleep=25",
                      "--stop-margin=57", options=["--time=1", "--signal=B:USR1@1"])
    jobs.wait_until_requeued(job, 1)
    jobs.cluster.call("scontrol", "update", f"jobid={job}", "TimeLimit=10")
    jobs.restart(job, 1)
    jobs.finish(job, restarts=1)
    assert "on 2 ranks" in jobs.log(job), jobs.log(job)
    assert sorted(losses("run")) == list(range(1, STEPS + 1))


def mpirun_in_a_job_stops_and_resumes(jobs):
    job = jobs.submit("train_nodes.sbatch", "run", SLOW, launcher="mpirun")
    jobs.wait_for_steps(job, "run")
    jobs.cluster.call("scancel", "--signal=USR1", "--batch", job)
    jobs.restart(job, 1)
    jobs.finish(job, restarts=1)
    assert "on 4 ranks" in jobs.log(job), jobs.log(job)
    assert sorted(losses("run")) == list(range(1, STEPS + 1))


def failing_rank_takes_all_down_and_is_named(jobs):
    for launcher, fault, names in (
            ("srun", "kill", r"task 1: Killed"),
            ("srun", "fail", r"seqrank: rank \d: .*rank 1: planned fault"),
            ("mpirun", "kill", r"seqrank: .*rank 1 \(process \d+ on h1\) is gone")):
        run = f"{launcher}-{fault}"
        job = jobs.submit("train_nodes.sbatch", run, "--train.save_every=20",
                          "--train.on_save_failure=stop",
                          f"--train.fault=checkpoint.after_shard_fsync:rank=1:{fault}",
                          launcher=launcher)
        jobs.cluster.wait_until(lambda: lines_in(f"{run}/metrics.jsonl") >= 20,
                                lambda: jobs.log(job))
        jobs.wait_for_state(job, "FAILED", seconds=30)
        assert processes("seqrank") == 0
        naming = re.findall(f"^.*{names}.*$", jobs.log(job), flags=re.M)
        assert len(naming) == 1, (run, naming, jobs.log(job))
        assert jobs.cluster.restarts(job) == 0


def array_trains_each_setting_in_a_folder_of_its_own(jobs):
    array = jobs.submit("sweep.sbatch", "runs", SLOW)
    # The last task of an array goes by the array's own number, which names all of them.
    jobs.wait_for_steps(array, "runs/1")
    jobs.cluster.call("scancel", "--signal=USR1", "--batch", f"{array}_1")
    jobs.restart(f"{array}_1", 1)
    jobs.finish(f"{array}_1", restarts=1)
    jobs.finish(f"{array}_0", restarts=0)
    first, second = losses("runs/0"), losses("runs/1")
    assert sorted(first) == sorted(second) == list(range(1, STEPS + 1))
    assert first != second, "both had the same seed"


def cancelled_run_is_saved_and_not_requeued(jobs):
    job = jobs.submit("train_nodes.sbatch", "run", SLOW)
    jobs.wait_for_steps(job, "run")
    jobs.cluster.call("scancel", job)
    jobs.wait_for_state(job, "CANCELLED")
    assert jobs.cluster.restarts(job) == 0, jobs.log(job)
    last = max(losses("run"))
    assert last < STEPS
    assert sums("run", last)


def ranks_that_cannot_be_started_are_no_success(jobs):
    for node in "h1", "h2":  # what the node would put in place for the first job's first step
        open(f"{jobs.cluster.folder}/spool.{node}/stepd.slurm.pmix.1.0", "w").close()
    job = jobs.submit("train_nodes.sbatch", "run")
    jobs.wait_for_state(job, "FAILED")
    assert "no rank has said that training is finished" in jobs.log(job), jobs.log(job)


def ranks_of_a_node_take_a_gpu_each(jobs):
    if "emulated device" not in subprocess.run([jobs.program, "doctor"], stdout=subprocess.PIPE,
                                               text=True, check=False).stdout:
        print("skipped: the program computes on no emulated device")
        sys.exit(hosts.SKIPPED)
    # `doctor` takes the place and the options of `train`, and says which device a rank takes: of
    # as many as Slurm gave.
    with open("doctor", "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\nshift\n"
                   "given=$(echo \"$CUDA_VISIBLE_DEVICES\" | tr , '\\n' | wc -l)\n"
                   f'SEQRANK_EMULATED=devices=$given exec {jobs.program} doctor "$@"\n')
    os.chmod("doctor", 0o755)
    jobs.program = os.path.abspath("doctor")
    for launcher in "srun", "mpirun":
        job = jobs.submit("train_gpu.sbatch", launcher, launcher=launcher)
        jobs.finish(job, restarts=0)
        rows = re.findall(r"^(\d) +(h\d) +(\d) .* 0000:0(\d):00.0$", jobs.log(job), flags=re.M)
        assert rows == [("0", "h1", "0", "1"), ("1", "h1", "1", "2"),
                        ("2", "h2", "0", "1"), ("3", "h2", "1", "2")], jobs.log(job)
    job = jobs.submit("train_gpu.sbatch", "one", options=["--gres=gpu:1"])
    jobs.wait_for_state(job, "FAILED")
    assert "error: 2 ranks and 1 visible GPU on a host" in jobs.log(job), jobs.log(job)


CASES = {f.__name__: f for f in (
    preempted_and_requeued_on_two_nodes_is_bitwise_the_same,
    end_of_the_time_requeues_a_run_on_one_node,
    mpirun_in_a_job_stops_and_resumes,
    failing_rank_takes_all_down_and_is_named,
    array_trains_each_setting_in_a_folder_of_its_own,
    cancelled_run_is_saved_and_not_requeued,
    ranks_that_cannot_be_started_are_no_success,
    ranks_of_a_node_take_a_gpu_each,
)}


def main():
    if sys.argv[1:] == ["--list"]:
        print(";".join(CASES), end="")
        return
    program, case = os.path.abspath(sys.argv[1]), sys.argv[2]
    slurm.skip_unless_installed()
    hosts.skip_unless_allowed()
    hosts.enter_own_space()
    # Steps of jobs that a case left running may still write to the cluster's folder.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        os.mkdir("cluster")
        try:
            make_data(program)
            with hosts.TwoHosts(hosts.VethPair()) as two, \
                    slurm.Cluster(two.hosts, f"{folder}/cluster") as cluster:
                CASES[case](Jobs(cluster, program))
        finally:
            os.chdir("/")


if __name__ == "__main__":
    main()
