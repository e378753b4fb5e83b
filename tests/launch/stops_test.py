#!/usr/bin/env python3
"""Stops of real trainings: each way of asking in each phase once, the launcher, failing ranks.

  stops_test.py --list                  names of the cases
  stops_test.py PROGRAM CASE            runs one

tests/long/stops.py does the same fifty times each.
"""
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import cases  # noqa: E402
import stop_trials as trials  # noqa: E402


def stop_case(kind, phase):
    def case(program):
        everyone = (trials.KINDS.index(kind) + trials.PHASES.index(phase)) % 2 == 0
        trials.stop(program, kind, phase, everyone)
    case.__name__ = f"{kind}_in_{phase}".replace(" ", "_").replace("-", "_")
    return case


def launcher_case(kind):
    def case(program):
        trials.stop_launcher(program, kind, after=0.3)
    case.__name__ = f"{kind}_to_mpirun_leaves_a_valid_checkpoint"
    return case


def signals_in_a_burst_are_one_wish(program):
    trial = trials.Trial(program, "run", "--train.fault=train.step:sleep=250")
    trial.wait_for("step")
    ranks = trials.ranks_of(trial.mpirun.pid)
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        for process in ranks:
            os.kill(process, number)
        time.sleep(0.15)
    code, _ = trial.end()
    assert code == trials.STOPPED_RESUMABLE, f"{code}: {trial.text()}"
    assert trial.resumes_at() >= 3


def second_signal_leaves_at_once(program):
    """Nothing is saved: the step that the wish waits for takes a minute."""
    trial = trials.Trial(program, "run", "--train.fault=train.start:sleep=60000")
    trial.wait_for("warm-up")
    time.sleep(0.2)
    ranks = trials.ranks_of(trial.mpirun.pid)
    os.kill(ranks[0], signal.SIGUSR1)
    time.sleep(2)
    os.kill(ranks[0], signal.SIGUSR1)
    code, _ = trial.end()
    assert code == trials.STOPPED_RESUMABLE, f"{code}: {trial.text()}"
    assert not trials.checkpoints("run")


def term_where_nothing_moves_leaves_at_once(program):
    """Rank 1 stands still; rank 0 waits for it when TERM comes."""
    trial = trials.Trial(program, "run", "--train.fault=train.step:rank=1:stop")
    trial.wait_for("warm-up")
    trials.wait_until(lambda: any(stopped(p) for p in trials.ranks_of(trial.mpirun.pid)),
                      "rank 1 stopped")
    os.kill(trials.ranks_of(trial.mpirun.pid)[0], signal.SIGTERM)
    code, _ = trial.end()
    assert code == trials.STOPPED_RESUMABLE, f"{code}: {trial.text()}"
    assert "TERM, and no rank has moved for" in trial.text(), trial.text()


def stopped(process):
    with open(f"/proc/{process}/stat", encoding="utf-8") as file:
        return file.read().rsplit(") ", 1)[1][0] == "T"


def rank_that_stands_still_is_named(program):
    trial = trials.Trial(program, "run", "--train.fault=train.step:rank=1:stop",
                         "--peer-timeout=2")
    code, _ = trial.end()
    assert code == 5, f"{code}: {trial.text()}"
    said = [line for line in trial.text().splitlines() if line.startswith("seqrank: ")]
    assert len(said) == 1, said
    assert said[0].startswith("seqrank: rank 0: ") and "no word from rank 1 (" in said[0], said
    assert "2 s without progress" in said[0] and " bytes)" in said[0], said


def failing_case(action, point):
    def case(program):
        trial = trials.Trial(program, "run", f"--train.fault={point}:rank=1:{action}",
                             "--train.on_save_failure=stop")
        code, seconds = trial.end()
        assert seconds < 30, seconds
        assert code == (6 if action == "fail" else 137), f"{code}: {trial.text()}"
        said = [line for line in trial.text().splitlines() if line.startswith("seqrank: ")]
        assert len(said) == 1 and "rank 1" in said[0], trial.text()
    case.__name__ = f"rank_1_{action}_at_{point}_ends_all_and_is_named".replace(".", "_")
    return case


CASES = {f.__name__: f for f in (
    *(stop_case(kind, phase) for kind in trials.KINDS for phase in trials.PHASES),
    *(launcher_case(kind) for kind in ("TERM", "INT")),
    signals_in_a_burst_are_one_wish,
    second_signal_leaves_at_once,
    term_where_nothing_moves_leaves_at_once,
    rank_that_stands_still_is_named,
    *(failing_case(action, point) for action in ("kill", "fail")
      for point in ("train.start", "train.batch", "train.step", "train.evaluate",
                    "checkpoint.before_shard")),
)}


if __name__ == "__main__":
    cases.main(CASES, prepare=trials.make_data)
