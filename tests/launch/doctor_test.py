#!/usr/bin/env python3
"""Plants each fault that `seqrank doctor` finds, under the real mpirun, and reads what it says.

  doctor_test.py --list                          names of the cases
  doctor_test.py PROGRAM CASE WIRE FAULTS        runs one; exit 77 = skipped, with the reason

WIRE joins two hosts (tests/support/two_hosts); FAULTS is the library of planted_faults.c.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support")
sys.path[:0] = [SUPPORT, os.path.join(SUPPORT, "slurm"), os.path.join(SUPPORT, "two_hosts")]
import cluster as slurm
import hosts
from training import SMALL, make_data

USAGE, DATA, DEVICE, PEERS, CHECKPOINT = 2, 3, 4, 5, 6
MPIRUN = ["mpirun", "-q", "--oversubscribe", "--bind-to", "none"]
COMMON = ["--data=data.h5", "--run=run", "--json=doctor.json", *SMALL]


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(hosts.SKIPPED)


class Result:
    """What one call printed, and what it told programs."""

    def __init__(self, words, environment=None):
        if os.path.exists("doctor.json"):
            os.remove("doctor.json")
        self.done = subprocess.run(words, capture_output=True, text=True, timeout=120,
                                   env={**os.environ, **(environment or {})})
        self.code, self.text, self.errors = self.done.returncode, self.done.stdout, self.done.stderr
        print(self.text, self.errors, sep="")
        self.json = None
        if os.path.exists("doctor.json"):
            with open("doctor.json", encoding="utf-8") as file:
                self.json = json.load(file)

    def findings(self, name=None):
        """A slow exchange only where it is asked for: a busy machine has one of its own accord."""
        return [finding for finding in self.json["findings"]
                if (finding["name"] == name if name else finding["name"] != "slow-exchange")]

    def names(self):
        return [finding["name"] for finding in self.findings()]

    def expect(self, code, name, ranks, *words):
        """That finding alone, on these ranks, in one line with these words, and that exit code."""
        assert self.code == code, f"exit {self.code}, not {code}"
        assert set(self.names()) | {name} == {name}, self.names()
        assert len(self.findings(name)) == 1, self.json["findings"]
        finding = self.findings(name)[0]
        assert finding["ranks"] == ranks, finding
        assert finding["code"] == code, finding
        lines = [line for line in self.text.splitlines()
                 if line == f"{finding['severity']}: {finding['line']}"]
        assert len(lines) == 1, "the finding is not one line of the screen"
        for word in words:
            assert word in lines[0], f"{word!r} is missing in: {lines[0]}"


def doctor(program, *more, device="cpu"):
    """On the CPU as a rule: a program with CUDA finds the same there, with any number of ranks."""
    return [program, "doctor", *COMMON, f"--device={device}", *more]


def ranks(*commands):
    """One rank each."""
    words = []
    for command in commands:
        words += [":"] * bool(words) + ["-np", "1", *command]
    return MPIRUN + words


def same(count, command):
    return MPIRUN + ["-np", str(count), *command]


def two_cores():
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        skip("there is one processor only")
    return cores


def finds_nothing_on_two_ranks(program):
    before = set(os.listdir("."))
    result = Result(same(2, doctor(program, "--threads=1")))
    assert result.code == 0 and result.names() == [], result.names()
    assert "nothing found" in result.text or "slow" in result.text
    assert result.errors == "", result.errors
    for word in ("2 ranks on 1 host", "Open MPI", "HDF5", "oneDNN", "fingerprint", "GB/s"):
        assert word in result.text, word
    assert len(result.text.splitlines()) < 20
    assert [rank["seat"]["local_rank"] for rank in result.json["ranks"]] == [0, 1]
    assert set(os.listdir(".")) - before == {"doctor.json"}, os.listdir(".")


def works_without_data_and_run_folder(program):
    result = Result([program, "doctor", "--json=doctor.json"])
    assert result.code == 0 and result.names() == [], result.names()


def foreign_launcher(program):
    """What a program sees under another library's mpirun: every process is a world of its own."""
    result = Result(doctor(program), {"PMI_SIZE": "2", "PMI_RANK": "0"})
    result.expect(PEERS, "foreign-launcher", [0], "2 processes", "mpirun -np 2 --bind-to none")
    second = Result(doctor(program), {"PMI_SIZE": "2", "PMI_RANK": "1"})
    assert second.code == PEERS and second.text + second.errors == "", "one process speaks"


def srun_without_pmix(program):
    """A real Slurm, whose srun does not join ranks unless it is told to, and then does."""
    slurm.skip_unless_installed()
    os.mkdir("slurm")
    with hosts.TwoHosts(hosts.VethPair()) as two, \
            slurm.Cluster(two.hosts, os.path.abspath("slurm")) as cluster:
        def srun(*words):
            return cluster.call("srun", "--nodes=2", "--ntasks=2", *words,
                                *doctor(program, "--threads=1"), check=False, timeout=60,
                                stderr=subprocess.STDOUT)
        said = [line for line in srun("--mpi=none").splitlines() if not line.startswith("srun: ")]
        assert len(said) == 1 and said[0].startswith("seqrank: "), said
        assert "2 tasks" in said[0] and "srun --mpi=pmix" in said[0], said
        assert not os.path.exists("doctor.json")
        assert "2 ranks on 2 hosts" in srun("--mpi=pmix")


def idle_tasks(program):
    result = Result(doctor(program), {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"})
    result.expect(0, "idle-tasks", [0], "4 tasks", "srun --mpi=pmix")


def task_count(program):
    result = Result(same(2, ["env", "OMPI_COMM_WORLD_SIZE=4", *doctor(program, "--threads=1")]))
    result.expect(PEERS, "task-count", [0, 1], "4 tasks", "2 ranks")


def two_ranks_one_core(program):
    core = two_cores()[0]
    bound = ["taskset", "-c", str(core), *doctor(program)]
    Result(same(2, bound)).expect(0, "two-ranks-one-core", [0, 1], "2 ranks on 1 core",
                                  "--bind-to none")
    # The whole launcher confined: unbinding would not help.
    Result(["taskset", "-c", str(core), *same(2, doctor(program))]).expect(
        0, "two-ranks-one-core", [0, 1], "2 ranks on 1 core", "start 1 rank")


def more_threads_than_processors(program):
    count = len(os.sched_getaffinity(0))
    if count < 2:
        skip("there is one processor only")
    Result(same(2, doctor(program, f"--threads={count}"))).expect(
        0, "threads", [0, 1], f"{2 * count} compute threads on {count} processors",
        f"--threads={count // 2}")


def processors_left_idle(program):
    """mpirun's own binding of one rank."""
    count = len(two_cores())
    words = ["mpirun", "-q", "--bind-to", "hwthread", "-np", "1", *doctor(program)]
    Result(words).expect(0, "idle-processors", [0], f"1 of the {count} processors",
                         "--bind-to none")


def unlike_binary(program):
    shutil.copy(program, "other")
    with open("other", "ab") as file:
        file.write(b"\0")
    Result(ranks(doctor(program, "--threads=1"), doctor("./other", "--threads=1"))).expect(
        PEERS, "binary", [1], "another program file", "rank 1")


def unlike_library(program):
    faulty = ["env", f"LD_PRELOAD={FAULTS}", "PLANTED_HDF5_MINOR=99"]
    Result(ranks(doctor(program, "--threads=1"),
                 [*faulty, *doctor(program, "--threads=1")])).expect(
        0, "library", [1], "another HDF5 library: HDF5 1.99", "rank 1")


def unlike_configuration(program):
    Result(ranks(doctor(program, "--threads=1"),
                 doctor(program, "--threads=1", "--model.layers=2", "--train.seed=7",
                        device="auto"))).expect(
        USAGE, "configuration", [1], "device is auto, elsewhere cpu",
        "model.layers is 2, elsewhere 1", "train.seed is 7", "rank 1")


def unlike_data(program):
    subprocess.run([program, "synth", "--items=200", "--sequences=300", "--length=20", "--seed=9",
                    "--clusters=8", "--output=other.h5"], check=True, stdout=subprocess.DEVNULL)
    Result(ranks(doctor(program, "--threads=1"),
                 [program, "doctor", "--data=other.h5", *COMMON[1:], "--threads=1",
                  "--device=cpu"])).expect(
        DATA, "data-fingerprint", [1], "other.h5 is another data set than elsewhere", "rank 1")


def data_missing_on_one_rank(program):
    os.mkdir("empty")
    here = os.getcwd()
    words = ["doctor", f"--json={here}/doctor.json", f"--run={here}/run", *SMALL, "--threads=1",
             "--data=data.h5"]
    Result(ranks([program, *words], ["-wdir", "empty", program, *words])).expect(
        DATA, "data", [1], "data.h5: cannot be opened: No such file", "rank 1")


def data_without_locks(program):
    faulty = ["env", f"LD_PRELOAD={FAULTS}", "PLANTED_LOCK_ERROR=37"]  # ENOLCK
    Result(ranks(doctor(program, "--threads=1"),
                 [*faulty, *doctor(program, "--threads=1")])).expect(
        0, "no-locks", [1], "note: ", "No locks available", "read all the same")


def model_that_is_not_trained(program):
    words = [program, "doctor", "--data=data.h5", "--json=doctor.json", "--model.name=popularity"]
    Result(words).expect(USAGE, "model", [0], "counted, not trained")


def in_own_mounts(script, *words):
    """`script`, then `words`, where mounts are of this process alone."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "-r"]
    if subprocess.run([*unshare, "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
                      capture_output=True).returncode != 0:
        skip("no file system may be mounted here, not even in a name space")
    return [*unshare, "sh", "-c", f'{script} && exec "$@"', "sh", *words]


def small_disk(program):
    """50,176 parameters: a checkpoint of some 650 KiB."""
    os.mkdir("small")
    words = [program, "doctor", "--data=data.h5", "--run=small/run", "--json=doctor.json"]
    for size, severity, code in ((1000, "warning", 0), (400, "error", CHECKPOINT)):
        result = Result(in_own_mounts(f"mount -t tmpfs -o size={size}k tmpfs small", *words))
        result.expect(code, "disk", [0], f"{severity}: ", "KiB free", "two checkpoints take")


def no_room_for_tables_in_files(program):
    """200 items of 2,000 numbers: 1.5 MiB of values and sums; 2 MiB in a checkpoint."""
    os.mkdir("small")
    words = [program, "doctor", "--data=data.h5", "--run=small/run", "--json=doctor.json",
             "--model.name=narm", "--model.width=2000", "--model.state_width=4",
             "--loss.kind=sampled_softmax", "--loss.negatives=10",
             "--table.optimiser=rowwise_adagrad", "--table.tier=file"]
    Result(in_own_mounts("mount -t tmpfs -o size=1000k tmpfs small", *words)).expect(
        DEVICE, "table-files", [0], "the file system of small has", "tables in files take 1.")
    elsewhere = Result(in_own_mounts("mount -t tmpfs -o size=6m tmpfs small", *words,
                                     "--table.folder=."))
    assert elsewhere.code == 0 and elsewhere.names() == [], elsewhere.names()
    assert "tables in files: .: 1." in elsewhere.text


def run_folder_read_only_on_one_rank(program):
    os.mkdir("run")
    read_only = in_own_mounts("mount --bind run run && mount -o remount,ro,bind run",
                              *doctor(program, "--threads=1"))
    Result(ranks(doctor(program, "--threads=1"), read_only)).expect(
        CHECKPOINT, "run-folder", [1], "run: Read-only file system", "rank 1")
    assert os.listdir("run") == []


def run_folder_not_shared(program):
    os.mkdir("elsewhere")
    here = os.getcwd()
    words = ["doctor", f"--json={here}/doctor.json", "--run=run", *SMALL, "--threads=1",
             f"--data={here}/data.h5"]
    Result(ranks([program, *words], ["-wdir", "elsewhere", program, *words])).expect(
        CHECKPOINT, "run-folder-not-shared", [1], "not the folder that rank 0 has", "rank 1")


def clock_ahead(program):
    faulty = ["env", f"LD_PRELOAD={FAULTS}", "PLANTED_CLOCK_SHIFT=90"]
    Result(ranks(doctor(program, "--threads=1"),
                 [*faulty, *doctor(program, "--threads=1")])).expect(
        0, "clock", [1], "clock 90", "ahead", "rank 1")


def slow_exchange_of_two(program):
    Result(same(2, doctor(program, "--threads=1",
                          "--train.fault=doctor.exchange:rank=1:sleep=60"))).expect(
        0, "slow-exchange", [0, 1], "slow with each other", "GB/s")


def slow_rank_among_four(program):
    """Four ranks on few cores: what else there is to say is not looked at."""
    result = Result(same(4, doctor(program, "--threads=1",
                                   "--train.fault=doctor.exchange:rank=2:sleep=120")))
    slow = result.findings("slow-exchange")
    assert result.code == 0 and len(slow) == 1 and 2 in slow[0]["ranks"], slow
    rate = {tuple(pair["ranks"]): pair["bytes_per_s"] for pair in result.json["exchange"]}
    assert max(rate[1, 2], rate[2, 3]) < 2 ** 20 / 0.12, rate
    good = max(rate.values())
    if min(rate[0, 1], rate[3, 0]) > max(good / 5, 50e6):  # the machine itself was not too busy
        assert slow[0]["ranks"] == [2] and "both neighbours" in slow[0]["line"], slow


def slow_wire_between_hosts(program):
    with hosts.TwoHosts(hosts.Wire(WIRE, mbit=20, delay_us=500)) as two:
        result = Result(two.mpirun(*doctor(program, "--threads=1")))
    result.expect(0, "slow-exchange", [0, 1], "all ranks", "GB/s")
    assert "2 ranks on 2 hosts" in result.text and "between hosts" in result.text


def finds_nothing_on_two_hosts(program):
    with hosts.TwoHosts(hosts.VethPair()) as two:
        result = Result(two.mpirun(*doctor(program, "--threads=1")))
    assert result.code == 0 and result.names() == [], result.names()
    assert [rank["seat"]["host"] for rank in result.json["ranks"]] == ["h1", "h2"]


def need_emulated_devices(program):
    """Of which a test can choose the number: {"SEQRANK_EMULATED": "devices=N"}."""
    text = Result([program, "doctor"]).text
    if "emulated device" not in text:
        skip("the program computes on no emulated device")


def on_devices(program, *more):
    return doctor(program, "--threads=1", *more, device="cuda")


def names_devices(program):
    need_emulated_devices(program)
    result = Result(same(2, on_devices(program)))
    assert result.code == 0 and result.names() == [], result.names()
    for word in ("device: emulated device, 1.0 GiB, compute capability 9.0 (all ranks", "NCCL ",
                 "cuDNN", "cuBLASLt", "driver for CUDA", "peer access: 1 of 1 pairs",
                 "all-reduce between devices: 64 MiB at", "by nccl"):
        assert word in result.text, word
    assert [rank["device"] for rank in result.json["ranks"]] == ["0000:01:00.0", "0000:02:00.0"]
    assert all(f"  {rank['device']}" in result.text for rank in result.json["ranks"])
    assert result.json["all_reduce_bytes_per_s"] > 0


def more_ranks_than_devices(program):
    need_emulated_devices(program)
    one = {"SEQRANK_EMULATED": "devices=1"}
    result = Result(same(2, on_devices(program)), one)
    result.expect(DEVICE, "more-ranks-than-devices", [0, 1], "2 ranks and 1 visible GPU",
                  "--gres=gpu:2", "--exchange=staged")
    assert "all-reduce" not in result.text
    result = Result(same(2, on_devices(program, "--exchange=staged")), one)
    assert result.code == 0 and result.names() == [], result.names()
    assert "by staged" in result.text


def two_ranks_one_device(program):
    """One rank is shown the first of two devices alone, and is the second on its host."""
    need_emulated_devices(program)
    alone = ["env", "SEQRANK_EMULATED=devices=1"]
    Result(ranks(on_devices(program), [*alone, *on_devices(program)])).expect(
        DEVICE, "two-ranks-one-device", [0, 1], "2 ranks take GPU 0000:01:00.0, of 2 there")


def no_device(program):
    """In any program: none is wanted where there is none, or CUDA is not built in."""
    hidden = {"CUDA_VISIBLE_DEVICES": "", "SEQRANK_EMULATED": "devices=0"}
    Result(same(2, on_devices(program)), hidden).expect(
        DEVICE, "no-device", [0, 1], "--device=cuda: no CUDA device", "--device=cpu", "all ranks")
    result = Result(same(2, doctor(program, "--threads=1", device="auto")), hidden)
    assert result.code == 0 and set(result.names()) <= {"no-device"}, result.names()
    assert all("computing on the CPU" in finding["line"] for finding in result.findings())


def train(program, *more):
    return [program, "train", "--data=data.h5", "--run=run", *SMALL, "--train.steps=3",
            "--device=cpu", *more]


def train_says_nothing_when_all_is_well(program):
    result = Result(same(2, train(program, "--threads=1")))
    assert result.code == 0, result.errors
    assert not [line for line in result.errors.splitlines()
                if line.startswith(("warning", "seqrank", "note"))], result.errors


def train_warns_and_trains(program):
    count = 2 * len(os.sched_getaffinity(0))
    result = Result(same(2, train(program, f"--threads={count}")))
    warnings = [line for line in result.errors.splitlines() if line.startswith("warning: ")]
    assert result.code == 0 and len(warnings) == 1, result.errors
    assert f"{2 * count} compute threads" in warnings[0], warnings
    assert os.path.exists("run/metrics.jsonl")


def train_ends_before_anything_is_written(program):
    unlike = ranks(train(program, "--threads=1"), train(program, "--threads=1", "--train.seed=7"))
    foreign = train(program)
    before = set(os.listdir("."))
    for words, variables, code, told in (
            (unlike, {}, USAGE, "train.seed is 7, elsewhere 1"),
            (foreign, {"PMI_SIZE": "2", "PMI_RANK": "0"}, PEERS, "mpirun -np 2")):
        result = Result(words, variables)
        lines = result.errors.splitlines()
        assert result.code == code and len(lines) == 1, result.errors
        assert lines[0].startswith("seqrank: ") and told in lines[0], lines
        assert set(os.listdir(".")) == before, os.listdir(".")


TWO_HOSTS = {f.__name__: f for f in (slow_wire_between_hosts, finds_nothing_on_two_hosts,
                                      srun_without_pmix)}
CASES = {f.__name__: f for f in (
    finds_nothing_on_two_ranks,
    works_without_data_and_run_folder,
    foreign_launcher,
    idle_tasks,
    task_count,
    two_ranks_one_core,
    more_threads_than_processors,
    processors_left_idle,
    unlike_binary,
    unlike_library,
    unlike_configuration,
    unlike_data,
    data_missing_on_one_rank,
    data_without_locks,
    model_that_is_not_trained,
    small_disk,
    no_room_for_tables_in_files,
    run_folder_read_only_on_one_rank,
    run_folder_not_shared,
    clock_ahead,
    slow_exchange_of_two,
    slow_rank_among_four,
    names_devices,
    more_ranks_than_devices,
    two_ranks_one_device,
    no_device,
    train_says_nothing_when_all_is_well,
    train_warns_and_trains,
    train_ends_before_anything_is_written,
)} | TWO_HOSTS


def main():
    if sys.argv[1:] == ["--list"]:
        print(";".join(CASES), end="")
        return
    program, case = os.path.abspath(sys.argv[1]), sys.argv[2]
    global WIRE, FAULTS
    WIRE, FAULTS = map(os.path.abspath, sys.argv[3:5])
    if case in TWO_HOSTS:
        hosts.skip_unless_allowed()
        hosts.enter_own_space()
    with tempfile.TemporaryDirectory(prefix="seqrank-doctor-") as folder:
        os.chdir(folder)
        try:
            make_data(program)
            CASES[case](program)
        finally:
            os.chdir("/")


if __name__ == "__main__":
    main()
