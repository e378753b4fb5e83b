"""What tests/gpu.sh runs on a machine with a GPU: steps with a time limit each, told in one table.

A step is a name, a limit in seconds and a function that returns what is to be told, or raises
Failed. Steps of one group run together; speeds that are told are of a shared GPU then. After BUDGET
seconds no further step is started, save those that only compare; one that was not run has failed. Needs python3 alone; knows no sizes or rates (tests/gpu_bench.py does).
"""
import argparse
import concurrent.futures
import copy
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUDGET = 465
NO_DEVICE, SKIPPED = 4, 77


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


class Machine:
    """The programs under test, and where their output goes."""

    def __init__(self, given):
        self.quick = given.quick
        self.out = os.path.abspath(given.out)
        os.makedirs(self.out, exist_ok=True)
        self.work = os.path.join(self.out, "work")
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)
        self.log = open(os.path.join(self.out, "gpu.log"), "w", encoding="utf-8")
        self.folder = os.path.abspath(given.source)
        self.env = dict(os.environ)
        if os.path.exists(os.path.join(self.folder, "env.sh")):
            told = subprocess.run(["bash", "-c", f". '{self.folder}/env.sh' && env -0"], check=True,
                                  stdout=subprocess.PIPE, text=True).stdout
            self.env = dict(line.split("=", 1) for line in told.split("\0") if "=" in line)
        self.env.update(RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1")
        self.env.setdefault("OMP_NUM_THREADS", "4")
        self.data = given.data and os.path.abspath(given.data)
        packed = os.path.join(os.path.dirname(self.program("seqrank")), "..", "data.h5")
        if not self.data and os.path.exists(packed):
            self.data = packed

    def program(self, name):
        for folder in (".", "launch", "tests/backend", "tests/collective", "tests/trainer"):
            path = os.path.join(self.folder, folder, name)
            if os.path.isfile(path):
                return path
        path = shutil.which(name, path=self.env["PATH"])
        if path is None:
            sys.exit(f"tests/gpu.sh: no program {name} in {self.folder}: a folder that "
                     "tests/gpu.sh --pack made, or a build folder with it")
        return path

    def run(self, words, limit, allowed=(0,), **env):
        """Its output, and exit code; Failed with the last line where the code is another one."""
        said = f"$ {' '.join(words)}\n"
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace",
                                  timeout=max(1, limit), cwd=self.work,
                                  env={**self.env, **env}, check=False)
        except subprocess.TimeoutExpired as expired:
            text = expired.stdout or b""
            self.log.write(said + (text.decode("utf-8", "replace") if isinstance(text, bytes)
                                   else text))
            raise Failed(f"{os.path.basename(words[0])}: time ran out, {limit:.0f} s") from None
        self.log.write(said + done.stdout)  # at once: steps run side by side
        if done.returncode not in allowed:
            lines = [line for line in done.stdout.splitlines() if line.strip()]
            raise Failed(f"exit {done.returncode}: {lines[-1] if lines else 'no output'}")
        return done.stdout, done.returncode

    def seqrank(self, *words, limit, allowed=(0,), **env):
        """A command of several ranks, as one, without MPI."""
        if self.env["WORLD_SIZE"] == "1":
            env["MASTER_PORT"] = free_port()
        return self.run([self.program("seqrank"), words[0], *words[1:], "--rendezvous=tcp"], limit,
                        allowed, **env)

    def path(self, name):
        return os.path.join(self.work, name)


# ---- tests of GoogleTest -----------------------------------------------------------------------

def google_tests(machine, program, only, limit, shards=1, wrapper=()):
    words = [*wrapper, machine.program(program), f"--gtest_filter={only}", "--gtest_brief=1"]

    def shard(i):
        try:
            return machine.run(words, limit, (0, 1), GTEST_TOTAL_SHARDS=str(shards),
                               GTEST_SHARD_INDEX=str(i), OMP_NUM_THREADS="2")[0]
        except Failed as failure:
            return failure

    with concurrent.futures.ThreadPoolExecutor(shards) as pool:
        results = list(pool.map(shard, range(shards)))
    for result in results:
        if isinstance(result, Failed):
            raise result
    text = "\n".join(results)
    passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", text)))
    failed = sorted(set(re.findall(r"\[  FAILED  \] ([\w/.]+)", text)))
    skipped = sum(map(int, re.findall(r"\[  SKIPPED \] (\d+) test", text)))
    told = f"{passed} passed, {len(failed)} failed, {skipped} skipped"
    if failed or passed == 0:
        raise Failed(told + "".join(f"; {name}" for name in failed[:4]))
    return told


def operators(machine, limit):
    if machine.quick:
        return google_tests(machine, "test_backend", "Linear.*_cuda:LayerNorm.*_cuda", limit, 2)
    return google_tests(machine, "test_backend", "*_cuda*:*Cuda*:*Device*", limit, 8)


def collective(machine, limit):
    only = "Staged/CommunicatorSuite/1*" if machine.quick else "Staged*:Nccl*"
    return google_tests(machine, "test_collective", only, limit, 1 if machine.quick else 4)


def trainer(machine, limit):
    only = "TrainOnDevice.OneRank*" if machine.quick else "TrainOnDevice*"
    return google_tests(machine, "test_trainer", only, limit, 1 if machine.quick else 4)


def sanitized(tool, only, shards):
    def step(machine, limit):
        sanitizer = shutil.which("compute-sanitizer", path=machine.env["PATH"]) or shutil.which(
            "compute-sanitizer", path="/usr/local/cuda/bin")
        if sanitizer is None:
            raise Skipped("no compute-sanitizer")
        wrapper = [sanitizer, "--tool", tool, "--error-exitcode", "9", "--target-processes", "all"]
        return google_tests(machine, "test_backend", only, limit, shards, wrapper)
    return step


# ---- the main job ------------------------------------------------------------------------------

def device(machine, limit):
    _, code = machine.seqrank(
        "bench", "ops", "--device=cuda", "--bench.ops=rows", "--bench.events=64",
        "--bench.items=64", "--bench.lengths=8", "--bench.width=8", "--bench.repeats=1",
        limit=limit, allowed=(0, NO_DEVICE))
    if code == NO_DEVICE:
        machine.log.flush()
        with open(machine.log.name, encoding="utf-8") as log:
            print(f"tests/gpu.sh: {log.read().splitlines()[-1]}")
        sys.exit(SKIPPED)
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return "no nvidia-smi"
    query = "--query-gpu=name,driver_version,memory.total"
    return machine.run([smi, query, "--format=csv,noheader"], limit)[0].strip()


def data_set(machine, limit):
    if machine.data is None:
        machine.data = machine.path("data.h5")
        machine.run([machine.program("seqrank"), "synth", "--items=2000", "--sequences=4000",
                     "--length=60", f"--output={machine.data}"], limit)
    return os.path.basename(machine.data)


def words_of_training(machine, name):
    steps = 10 if machine.quick else 200
    words = [f"--config={ROOT}/launch/configs/ml-1m_attention_rnn.ini", f"--data={machine.data}",
             f"--run={machine.path(name)}", f"--train.steps={steps}", "--train.log_every=1",
             "--train.evaluate_every=0", f"--json={machine.path(name)}.json"]
    if machine.quick:
        words += ["--train.batch=4", "--model.width=16"]
    return words


def training(name, *words):
    def step(machine, limit):
        machine.seqrank("train", *words_of_training(machine, name), *words, limit=limit)
        with open(machine.path(name) + ".json", encoding="utf-8") as file:
            result = json.load(file)
        losses = losses_of(machine, name)
        return (f"{len(losses)} steps, loss {losses[0]:.4f} to {losses[-1]:.4f}, "
                f"{result['events_per_s']:,.0f} events/s")
    return step


def two_ranks(machine, limit):
    """Two processes on one GPU, exchanging through the host."""
    env = {**machine.env, "WORLD_SIZE": "2", "MASTER_PORT": free_port()}

    def rank(i):
        own = copy.copy(machine)
        own.env = {**env, "RANK": str(i)}
        own.seqrank("train", *words_of_training(machine, "staged"), "--device=cuda",
                    "--exchange=staged", limit=limit)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(rank, i) for i in range(2)]:
            done.result()
    return compare("staged", "cpu", 1e-3)(machine, limit)


def losses_of(machine, name):
    with open(machine.path(name) + "/metrics.jsonl", encoding="utf-8") as lines:
        return [line["loss"] for line in map(json.loads, lines) if "loss" in line]


def compare(name, reference, tolerance):
    """Step by step, relative."""
    def step(machine, _limit):
        ours, theirs = losses_of(machine, name), losses_of(machine, reference)
        if len(ours) != len(theirs) or not ours:
            raise Failed(f"{len(ours)} losses beside {len(theirs)}")
        worst = max(abs(a / b - 1) for a, b in zip(ours, theirs))
        told = f"largest difference {worst:.2e} of {tolerance:.0e}"
        if not worst <= tolerance:  # also NaN
            raise Failed(told)
        return told
    return step


# Groups, one after another.
STEPS = (
    (("a device", 60, device),),
    (("data set", 30, data_set),),
    (("operators, all types and sizes", 150, operators),
     ("collectives, staged and NCCL", 120, collective),
     ("small training runs", 120, trainer),
     ("main job, CPU, fp32", 90, training("cpu", "--device=cpu"))),
    (("main job, CUDA, fp32", 40, training("fp32", "--device=cuda")),),
    (("main job, CUDA, bf16", 40, training("bf16", "--device=cuda", "--train.precision=bf16")),),
    (("main job, CUDA, fp16", 40, training("fp16", "--device=cuda", "--train.precision=fp16")),),
    (("main job, two ranks on one GPU", 40, two_ranks),),
    (("fp32: losses as on the CPU", 5, compare("fp32", "cpu", 1e-3)),
     ("bf16: losses as in fp32", 5, compare("bf16", "fp32", 1e-2)),
     ("fp16: losses as in fp32", 5, compare("fp16", "fp32", 1e-2))),
    (("memcheck, some operators", 120, sanitized(
        "memcheck", "MultiHeadAttention.*_cuda:SoftmaxCrossEntropy.*_cuda:LayerNorm.*_cuda:"
        "Embedding.*_cuda:UniqueRows.*_cuda:RunningAttention.*_cuda:QueryAttention.*_cuda:"
        "PrefixPool.*_cuda:TopK.*_cuda:Recurrence.*_cuda", 8)),
     ("racecheck, some operators", 120, sanitized(
         "racecheck", "SoftmaxCrossEntropy.*_cuda:LayerNorm.*_cuda:TopK.*_cuda:PrefixPool.*_cuda:"
         "MultiHeadAttention.*Reference*_cuda", 8))),
)


def run_step(machine, begin, name, limit, step):
    left = BUDGET - (time.monotonic() - begin)
    start = time.monotonic()
    try:
        if left < 5 < limit and not machine.quick:
            raise Failed("not run: the eight minutes are over")
        at_most = limit if machine.quick else min(limit, max(left, 5))
        outcome, told = "passed", step(machine, at_most)
    except Failed as failure:
        outcome, told = "FAILED", str(failure)
    except Skipped as skipped:
        outcome, told = "skipped", str(skipped)
    except (OSError, ValueError, KeyError, IndexError) as error:  # what an earlier failure left
        outcome, told = "FAILED", f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - start
    print(f"{name:32} {outcome:8} {seconds:7.1f} s  {told}", flush=True)
    machine.log.flush()
    return {"step": name, "outcome": outcome, "seconds": round(seconds, 2), "limit": limit,
            "told": told}


def run_steps(machine, groups):
    begin, results = time.monotonic(), []
    for group in groups:
        if len(group) == 1:  # in this thread, which may end the program
            results.append(run_step(machine, begin, *group[0]))
            continue
        with concurrent.futures.ThreadPoolExecutor(len(group)) as pool:
            results += pool.map(lambda step: run_step(machine, begin, *step), group)
    return results


def main():
    parser = argparse.ArgumentParser(prog="tests/gpu.sh")
    parser.add_argument("--from", dest="source", default=os.path.join(ROOT, "build/gpu-pack"))
    parser.add_argument("--out", default=os.path.join(ROOT, "build/gpu-results"))
    parser.add_argument("--data", help="a data set, as `seqrank prepare` writes it")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--bench", action="store_true")
    parser.add_argument("--ops", default="", help="of --bench: options of `seqrank bench ops`")
    parser.add_argument("--steps", default="64x32,256x512",
                        help="of --bench: widths and batches of whole steps of training")
    given = parser.parse_args()
    machine = Machine(given)
    machine.ops, machine.steps = given.ops, given.steps
    steps = STEPS
    if given.bench:
        import gpu_bench  # pylint: disable=import-outside-toplevel
        steps = STEPS[:2] + tuple((step,) for step in gpu_bench.steps(machine))
    begin = time.monotonic()
    results = run_steps(machine, steps)
    name = "gpu_bench_steps.json" if given.bench else "gpu.json"
    with open(os.path.join(machine.out, name), "w", encoding="utf-8") as file:
        json.dump({"seconds": round(time.monotonic() - begin, 1), "quick": machine.quick,
                   "steps": results}, file, indent=1)
    shutil.rmtree(machine.work, ignore_errors=True)
    counts = [sum(r["outcome"] == o for r in results) for o in ("passed", "FAILED", "skipped")]
    print("{} passed, {} failed, {} skipped".format(*counts))
    return 1 if counts[1] else 0

