"""One stop of a real training under the real mpirun: started, stopped in a given phase, looked at,
resumed. Used by stops_test.py (a few, in CI) and tests/long/stops.py (fifty of each).

A phase is held open by a planned pause (--train.fault) and recognised by what the run has written.
"""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

STOPPED_RESUMABLE = 75
RANKS = 2
STEPS_AN_EPOCH = 19  # of the data below
SAVE_EVERY = 7
MPIRUN = ["mpirun", "-q", "--bind-to", "none", "--oversubscribe", "-np", str(RANKS)]
SIGNALS = {"USR1": signal.SIGUSR1, "TERM": signal.SIGTERM, "INT": signal.SIGINT}
PAUSE = {"warm-up": "train.start", "step": "train.step", "evaluation": "train.evaluate",
         "save": "checkpoint.after_shard_write"}
PHASES = list(PAUSE)
KINDS = [*SIGNALS, "STOP file", "end time"]
SPARE = 20  # seconds between the wish and the end time
LONGEST = 60  # seconds from the wish to the end of mpirun; beyond that it hangs


def make_data(program):
    if not os.path.exists("data.h5"):
        subprocess.run([program, "synth", "--items=100", "--sequences=300", "--length=12",
                        "--clusters=8", "--output=data.h5"], check=True, stdout=subprocess.DEVNULL)


def command(program, run, *more):
    return [*MPIRUN, program, "train", "--data=data.h5", f"--run={run}", "--model.width=8",
            "--train.batch=16", "--train.log_every=1", "--train.evaluate_every=1", "--threads=1",
            f"--train.save_every={SAVE_EVERY}", "--train.tensorboard=no", *more]


def lines(run):
    """Steps in metrics.jsonl, torn last line left out."""
    try:
        with open(f"{run}/metrics.jsonl", encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []


def steps(run):
    return [line["step"] for line in lines(run) if "loss" in line]


def checkpoints(run):
    """Step -> whether it is whole."""
    return {int(path[-8:]): os.path.exists(f"{path}/manifest.json")
            for path in glob.glob(f"{run}/checkpoints/step-*")}


def in_phase(run, phase):
    if phase == "warm-up":
        return os.path.isdir(run)
    if phase == "step":
        return len(steps(run)) >= 3
    if phase == "evaluation":
        return len(steps(run)) >= STEPS_AN_EPOCH
    return not all(checkpoints(run).values())


def ranks_of(mpirun):
    """Processes of the ranks, in the order in which mpirun started them."""
    with open(f"/proc/{mpirun}/task/{mpirun}/children", encoding="utf-8") as file:
        return sorted(map(int, file.read().split()))


def gone(process):
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            return file.read().rsplit(") ", 1)[1][0] in "ZX"
    except FileNotFoundError:
        return True


def wait_until(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.005)


class Trial:
    """A run that has been started."""

    def __init__(self, program, run, *more):
        shutil.rmtree(run, ignore_errors=True)
        self.program, self.run = program, run
        self.log = open(f"{run}.log", "w+", encoding="utf-8")
        self.mpirun = subprocess.Popen(command(program, run, "--train.steps=1000000", *more),
                                       stdout=self.log, stderr=self.log)

    def wait_for(self, phase):
        def there():
            assert self.mpirun.poll() is None, f"ended before {phase}: {self.text()}"
            return in_phase(self.run, phase)
        wait_until(there, phase)

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def end(self):
        """The exit code, and seconds since now; the ranks must be gone."""
        ranks = ranks_of(self.mpirun.pid)
        begin = time.monotonic()
        try:
            code = self.mpirun.wait(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"hangs: {self.text()}") from None
        wait_until(lambda: all(map(gone, ranks)), "all ranks gone")
        return code, time.monotonic() - begin

    def kill(self):
        for process in [*ranks_of(self.mpirun.pid), self.mpirun.pid]:
            os.kill(process, signal.SIGKILL)
        self.mpirun.wait()

    def resumes_at(self):
        """Resumes for three steps; the step it went on from. No step twice, none missing."""
        saved = checkpoints(self.run)
        newest = max((s for s, whole in saved.items() if whole), default=0)
        result = subprocess.run(command(self.program, self.run, f"--train.steps={newest + 3}"),
                                capture_output=True, text=True, timeout=LONGEST)
        assert result.returncode == 0, result.stderr
        for step in re.findall(r"checkpoint of step (\d+) is passed over", result.stderr):
            assert not saved[int(step)], f"committed, but not good: {result.stderr}"
        assert newest == 0 or f"at step {newest} of" in result.stderr, result.stderr
        assert steps(self.run) == list(range(1, newest + 4)), steps(self.run)
        return newest


def stop(program, kind, phase, everyone, number=0, run="run"):
    """Asks for a stop in a phase, of one rank (by turns) or of all. The run must end with 75 and one
    good checkpoint, of its last step. Returns seconds from the wish to the end."""
    by_time = kind == "end time"
    pause = {"step": 20}.get(phase, 400)  # a step pauses each time
    more = []
    if by_time:
        # The wish comes so many seconds from now, or one less. Before the end there is time enough
        # for two saves that are held up, on a busy machine too.
        wish = 2 if phase in ("step", "save") else 4
        pause = {"step": 20, "save": 2000}.get(phase, 4000)
        more = [f"--stop-at={int(time.time()) + wish + SPARE}", f"--stop-margin={SPARE}"]
    more.append(f"--train.fault={PAUSE[phase]}:sleep={pause}")
    trial = Trial(program, run, *more)
    try:
        trial.wait_for("warm-up" if by_time else phase)
        if kind == "STOP file":
            open(f"{run}/STOP", "w", encoding="utf-8").close()
        elif not by_time:
            ranks = ranks_of(trial.mpirun.pid)
            assert len(ranks) == RANKS, ranks
            for process in ranks if everyone else [ranks[number % RANKS]]:
                os.kill(process, SIGNALS[kind])
        code, seconds = trial.end()
    except BaseException:
        if trial.mpirun.poll() is None:
            trial.kill()
        raise
    assert code == STOPPED_RESUMABLE, f"exit {code}: {trial.text()}"
    saved = checkpoints(run)
    assert saved and all(saved.values()), f"torn: {saved}"
    assert max(saved) == max(steps(run)), f"saved {saved}, trained {max(steps(run))}"
    assert not os.path.exists(f"{run}/STOP")
    assert trial.resumes_at() == max(saved)
    return seconds


def stop_launcher(program, kind, after, run="run"):
    """TERM or INT to mpirun, so many seconds after the third step: the ranks are killed, the last
    committed checkpoint is valid. Returns seconds to the end."""
    trial = Trial(program, run)
    try:
        trial.wait_for("step")
        time.sleep(after)
        trial.mpirun.send_signal(SIGNALS[kind])
        code, seconds = trial.end()
    except BaseException:
        if trial.mpirun.poll() is None:
            trial.kill()
        raise
    assert code not in (0, -signal.SIGKILL), f"exit {code}: {trial.text()}"
    trial.resumes_at()
    return seconds
