"""A real Slurm of two nodes on this machine: munged, slurmctld and a slurmd on each of two hosts of
tests/support/two_hosts. The script that uses it must be in a space of its own (hosts.py); nothing
of it outlives that script. It stores no accounting and limits nothing by cgroups.
"""
import os
import shutil
import signal
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "two_hosts"))
import hosts

# Schedules at once; waits for nothing that a test would have to wait for.
SETTINGS = """
ClusterName=test
SlurmctldHost={controller.name}({controller.address})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
TmpFS={folder}/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
GresTypes=gpu
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=1000,batch_sched_delay=0,sched_interval=1,bf_interval=1
InactiveLimit=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=usual Nodes=ALL Default=YES PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL PriorityTier=2
"""
NODE = "NodeName={name} NodeHostname={name} NodeAddr={address} CPUs=2 RealMemory=4000 Gres=gpu:2\n"
GPUS = "Name=gpu File={folder}/gpu[0-1]\n"  # stand-ins, /dev/null by another name


def _end(process):
    deadline = time.time() + 10
    try:
        os.kill(process, signal.SIGKILL)
        while time.time() < deadline:
            os.kill(process, 0)
            time.sleep(0.02)
    except ProcessLookupError:
        pass


class Cluster:
    """with Cluster(two.hosts, folder) as cluster: print(cluster.call("sinfo"))"""

    def __init__(self, nodes, folder):
        self.nodes = nodes
        self.folder = folder
        self.settings = f"{folder}/slurm.conf"

    def __enter__(self):
        os.mkdir(f"{self.folder}/state")
        os.chmod(self.folder, 0o755)
        self._write_settings()
        self._start_munge()
        self._daemon(0, "slurmctld", "-i")
        for number, node in enumerate(self.nodes):
            for kind in ("spool.", ""):
                os.mkdir(f"{self.folder}/{kind}{node.name}")
            self._daemon(number, "slurmd", "-N", node.name)
        self.wait_until(lambda: self.call("sinfo", "-h", "-t", "idle", "-o", "%D").strip()
                        == str(len(self.nodes)), lambda: "the nodes do not come up")
        return self

    def __exit__(self, *_):
        """What jobs left ends with the script's space; the daemons now, since they write here."""
        for name in os.listdir(self.folder):
            if not name.endswith(".pid"):
                continue
            with open(f"{self.folder}/{name}", encoding="utf-8") as file:
                process = file.read().strip()
            if process.isdigit():
                _end(int(process))

    def call(self, *words, node=0, check=True, **more):
        """What the command prints on a node."""
        result = subprocess.run(self.nodes[node].command(*words), stdout=subprocess.PIPE, text=True,
                                env={**os.environ, "SLURM_CONF": self.settings}, **more)
        if check and result.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: exit {result.returncode}: {result.stdout}")
        return result.stdout

    def submit(self, *words, **more):
        return self.call("sbatch", "--parsable", *words, **more).strip()

    def state(self, job):
        """Such as RUNNING or COMPLETED."""
        return self._shown(job, "JobState")

    def restarts(self, job):
        return int(self._shown(job, "Restarts"))

    def _shown(self, job, name):
        return self.call("scontrol", "show", "job", job).split(f"{name}=")[1].split()[0]

    def wait_until(self, condition, complaint, seconds=60):
        """Raises what complaint() says, with the daemons' last words, when it takes too long."""
        deadline = time.time() + seconds
        while not condition():
            if time.time() > deadline:
                raise AssertionError(f"{complaint()}\n{self.logs()}")
            time.sleep(0.05)

    def logs(self):
        """The last lines of the daemons."""
        text = ""
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".log"):
                with open(f"{self.folder}/{name}", encoding="utf-8", errors="replace") as file:
                    text += f"== {name}\n{''.join(file.readlines()[-15:])}"
        return text

    def _write_settings(self):
        with open(self.settings, "w", encoding="utf-8") as file:
            file.writelines(NODE.format(name=n.name, address=n.address) for n in self.nodes)
            file.write(SETTINGS.format(controller=self.nodes[0], folder=self.folder))
        with open(f"{self.folder}/gres.conf", "w", encoding="utf-8") as file:
            file.write(GPUS.format(folder=self.folder))
        for number in range(2):
            os.mknod(f"{self.folder}/gpu{number}", stat.S_IFCHR | 0o600, os.makedev(1, 3))

    def _start_munge(self):
        key = f"{self.folder}/munge.key"
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(os.urandom(1024))
        subprocess.run(
            ["munged", "--force", f"--key-file={key}", f"--socket={self.folder}/munge.socket",
             f"--pid-file={self.folder}/munged.pid", f"--log-file={self.folder}/munged.log",
             f"--seed-file={self.folder}/munge.seed"], check=True)

    def _daemon(self, number, program, *words):
        self.call(program, "-f", self.settings, *words, node=number)


def skip_unless_installed():
    missing = [p for p in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(p)]
    if missing:
        print(f"skipped: {', '.join(missing)} not installed; launch/setup.sh installs them")
        sys.exit(hosts.SKIPPED)
