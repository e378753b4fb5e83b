#!/usr/bin/env python3
"""Runs the scripts around the program with stand-ins for what they call: no Slurm, network or
package manager is needed.

  scripts_test.py --list                  names of the cases
  scripts_test.py PROGRAM CASE            runs one; PROGRAM is not used
"""
import os
import re
import subprocess
import sys
import tempfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def stand_in(name, text):
    os.makedirs("bin", exist_ok=True)
    with open(f"bin/{name}", "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n" + text + "\n")
    os.chmod(f"bin/{name}", 0o755)


def run(script, *words, **variables):
    path = os.path.abspath("bin") + ":" + os.environ["PATH"]
    # A batch script is no program, and starts where it was submitted: in the clone.
    command, folder = (["bash"], ROOT) if script.endswith(".sbatch") else ([], None)
    return subprocess.run([*command, os.path.join(ROOT, script), *words], capture_output=True,
                          text=True, timeout=60, cwd=folder,
                          env={**os.environ, "PATH": path, **variables})


def batch_script(squeue, srun="exit 75", state="RUNNING", **variables):
    """What the batch script prints, where squeue answers thus when asked for the end time. It must
    end with 75."""
    stand_in("squeue", f'case "$*" in *%T*) echo {state} ;; *) {squeue} ;; esac')
    stand_in("srun", f'echo "srun $*"; {srun}')
    stand_in("scontrol", 'echo "scontrol $*"')
    result = run("slurm/train.sbatch", "--model.width=8", SLURM_JOB_ID="17",
                 SLURM_CPUS_PER_TASK="3", **variables)
    assert result.returncode == 75, result
    return result.stdout


def stop_at(printed):
    return re.findall("--stop-at=([^ ]*)", printed)


def batch_script_takes_no_odd_answer_for_the_end_time(_):
    seconds = subprocess.run(["date", "--date=2030-01-02T03:04:05", "+%s"], check=True,
                             capture_output=True, text=True).stdout.strip()
    assert stop_at(batch_script("echo 2030-01-02T03:04:05")) == [seconds]
    for squeue in ("exit 1", "echo Unknown", "echo NONE", "echo"):
        assert stop_at(batch_script(squeue)) == [], squeue
    # Newer Slurm tells it without being asked.
    assert stop_at(batch_script("exit 1", SLURM_JOB_END_TIME="1234567890")) == ["1234567890"]


def batch_script_gives_ranks_their_processors_and_the_options(_):
    line = batch_script("exit 1").splitlines()[0]
    assert "--cpus-per-task=3" in line and "--threads=3" in line, line
    assert line.endswith(" --model.width=8"), line


def batch_script_requeues_only_what_slurm_has_not_ended(_):
    requeued = "scontrol requeue 17"
    assert requeued in batch_script("exit 1")
    assert requeued in batch_script("exit 1", state="")  # no answer
    assert requeued not in batch_script("exit 1", state="COMPLETING")
    # By its own number; that of the array names all of its jobs.
    printed = batch_script("exit 1", SLURM_ARRAY_JOB_ID="17", SLURM_ARRAY_TASK_ID="3")
    assert "scontrol requeue 17_3" in printed, printed


def batch_script_believes_the_ranks_before_the_launcher(_):
    said = """file=$(echo "$*" | sed 's/.*--json=\\([^ ]*\\).*/\\1/'); """ \
           """echo '{"outcome": "stopped_resumable"}' >"$file"; exit 205"""
    assert "scontrol requeue 17" in batch_script("exit 1", srun=said)


def quickstart_refuses_what_it_does_not_know(_):
    result = run("launch/quickstart.sh", "--help")
    assert result.returncode == 0 and result.stdout.startswith("usage: "), result
    result = run("launch/quickstart.sh", "--frehs")
    assert result.returncode == 2 and "'--frehs'" in result.stderr, result
    assert len(result.stderr.splitlines()) == 1, result.stderr


def setup_without_apt_says_so(_):
    os.makedirs("bin")
    for tool in ("env", "bash", "dirname"):
        os.symlink(subprocess.run(["which", tool], check=True, capture_output=True,
                                  text=True).stdout.strip(), f"bin/{tool}")
    result = run("launch/setup.sh", PATH=os.path.abspath("bin"))
    assert result.returncode == 2, result
    assert len(result.stderr.splitlines()) == 1 and "no apt-get" in result.stderr, result.stderr


def format_check_fails_when_git_lists_nothing(_):
    for git in ("exit 128", "exit 0"):
        stand_in("git", git)
        for check in (".ci/check_format.sh", ".ci/check_layers.py"):
            result = run(check)
            assert result.returncode == 1, result
            assert "git lists no sources" in result.stderr, result.stderr


def fetch_fails_in_one_line(_):
    os.mkdir("target")
    with open("empty.whl", "wb") as file:
        file.write(b"not an archive")
    with zipfile.ZipFile("other.whl", "w") as package:
        package.writestr("README", "nothing of use")
    fetch = os.path.join(ROOT, "launch/fetch_ml_100k.py")
    for download, folder in (("return '/nowhere.whl'", "target"), ("return 'empty.whl'", "target"),
                             ("return 'other.whl'", "target"), ("return ''", "missing")):
        program = (f"import runpy, sys; m = runpy.run_path({fetch!r}); main = m['main']\n"
                   f"def download(_): {download}\n"
                   f"main.__globals__['download'] = download; sys.argv = ['x', {folder!r}]; main()")
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        lines = result.stderr.splitlines()
        assert result.returncode == 1 and len(lines) == 1, result
        assert lines[0].startswith("fetch_ml_100k: "), lines
    assert not os.listdir("target")


CASES = {f.__name__: f for f in (
    batch_script_takes_no_odd_answer_for_the_end_time,
    batch_script_gives_ranks_their_processors_and_the_options,
    batch_script_requeues_only_what_slurm_has_not_ended,
    batch_script_believes_the_ranks_before_the_launcher,
    quickstart_refuses_what_it_does_not_know,
    setup_without_apt_says_so,
    format_check_fails_when_git_lists_nothing,
    fetch_fails_in_one_line,
)}


def main():
    if sys.argv[1:] == ["--list"]:
        print(";".join(CASES), end="")
        return
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            CASES[sys.argv[2]](sys.argv[1])
        finally:
            os.chdir("/")


if __name__ == "__main__":
    main()
