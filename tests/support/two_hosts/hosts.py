"""Two "hosts" on one machine: network namespaces with a host name and half of the cores each, joined
by a veth pair (fast, no delay) or by a wire (wire.cc: rate, delay, loss, and it can be cut).

A script calls enter_own_space() first. From then on it lives in namespaces of processes and mounts
of its own, so that names need not be unique, tests run side by side, and the kernel ends whatever
the script started and forgets the hosts when the script ends, however it ends.

Nothing here knows Slurm or seqrank.
"""
import ctypes
import dataclasses
import json
import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = "/dev/shm/hosts"  # of the namespaces' files; rsh.sh knows it too
SKIPPED = 77

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS, _CLONE_NEWPID, _PR_SET_PDEATHSIG = 0x00020000, 0x20000000, 1


class NotAllowed(Exception):
    """This machine does not let us make hosts; says why."""


def enter_own_space():
    """Goes on in a new process. The caller's stays outside, hands signals on and ends with the
    same code. Raises NotAllowed, in the caller's process."""
    if _LIBC.unshare(_CLONE_NEWNS | _CLONE_NEWPID) != 0:
        raise NotAllowed("namespaces of processes and mounts are not allowed here "
                         f"({os.strerror(ctypes.get_errno())})")
    _outlive(os.fork())
    # The first process of the namespace: with it the kernel ends all others.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _outlive(os.fork())
    _private_mounts()


def _outlive(child):
    """Returns in the child. The parent hands signals on and ends as the child does."""
    if child == 0:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal gives it to the child as well
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, lambda number, _: os.kill(child, number))
    while True:
        pid, status = os.wait()  # orphans too, where this is the first process
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _private_mounts():
    # /dev/shm of our own: ranks and launchers name files in it after host and process, which
    # another such space has too.
    for words in (["--make-rprivate", "/"], ["-t", "proc", "proc", "/proc"],
                  ["-t", "tmpfs", "tmpfs", "/dev/shm"]):
        _call("mount", *words)
    os.mkdir(FOLDER)


def skip_unless_allowed():
    """Ends this test with the reason where hosts and wires cannot be made. Tries it in another
    process, so that the caller is free to stay outside."""
    probe = subprocess.run([sys.executable, os.path.abspath(__file__)], stderr=subprocess.PIPE,
                           text=True)
    if probe.returncode == SKIPPED:
        print(f"skipped: {probe.stderr.strip()}")
        sys.exit(SKIPPED)
    assert probe.returncode == 0, probe.stderr


def _call(*words):
    try:
        result = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise NotAllowed(f"{words[0]} is not installed; launch/setup.sh installs it") from error
    if result.returncode != 0:
        raise NotAllowed(f"`{' '.join(words)}` failed: {result.stderr.strip()}")


@dataclasses.dataclass(frozen=True)
class Host:
    name: str
    address: str
    network: str  # file of its network namespace

    def command(self, *words):
        """The words that run `words` on this host."""
        return ["nsenter", f"--net={self.network}", f"--uts={FOLDER}/{self.name}.uts",
                f"{FOLDER}/{self.name}.cores", *words]

    def call(self, *words):
        _call(*self.command(*words))

    def forget(self):
        """Makes room for a host of the same name. (At the end of the script the kernel forgets.)"""
        _call("umount", self.network, f"{FOLDER}/{self.name}.uts")


def _cores(number):
    """Every second core of this machine: ranks on two hosts never share one, as in life."""
    cores = sorted(os.sched_getaffinity(0))
    return ",".join(map(str, cores[number - 1::2] or cores))


def make_host(number):
    host = Host(f"h{number}", f"10.77.0.{number}", f"{FOLDER}/h{number}.net")
    for kind in ("net", "uts"):
        open(f"{FOLDER}/{host.name}.{kind}", "w", encoding="utf-8").close()
    with open(f"{FOLDER}/{host.name}.cores", "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\nexec taskset -c {_cores(number)} \"$@\"\n")
    os.chmod(file.name, 0o755)
    _call("unshare", f"--net={host.network}", f"--uts={FOLDER}/{host.name}.uts", "hostname",
          host.name)
    host.call("ip", "link", "set", "lo", "up")
    # The machine's own choice may be one that paces by round trips, which busy cores stretch.
    host.call("sysctl", "-q", "net.ipv4.tcp_congestion_control=reno")
    return host


def _set_up(host, device):
    host.call("ip", "link", "set", device, "mtu", "9000", "up")
    host.call("ip", "address", "add", f"{host.address}/24", "dev", device)


class VethPair:
    """Joins two hosts as fast as the machine copies."""
    device = "veth"

    def join(self, a, b):
        a.call("ip", "link", "add", self.device, "type", "veth", "peer", "name", self.device,
               "netns", b.network)
        for host in (a, b):
            _set_up(host, self.device)

    def leave(self):
        pass  # it goes with the namespaces


class Wire:
    """Joins two hosts with a rate and a delay each way; see wire.cc."""
    device = "wire"

    def __init__(self, program, mbit, delay_us, loss=0.0):
        self.words = [program, str(delay_us), str(mbit), str(loss)]
        self.process = None
        self.report = None  # after leave(): bytes each way and seconds of processor

    def join(self, a, b):
        program, *limits = self.words
        self.process = subprocess.Popen([program, a.network, b.network, *limits], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != "up\n":
            raise NotAllowed(f"{program} does not come up, see above")
        for host in (a, b):
            _set_up(host, self.device)

    def cut(self):
        """From now on nothing arrives, either way."""
        self.process.stdin.write("cut\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "cut\n"

    def leave(self):
        self.report = json.loads(self.process.communicate()[0])


class TwoHosts:
    """with TwoHosts(VethPair()) as hosts: subprocess.run(hosts.mpirun("hostname"))"""

    def __init__(self, link):
        self.link = link

    def __enter__(self):
        self.hosts = [make_host(1), make_host(2)]
        self.link.join(*self.hosts)
        return self

    def __exit__(self, *_):
        self.link.leave()
        for host in self.hosts:
            host.forget()

    def mpirun(self, *words, ranks_per_host=1):
        """The words that run `words` under mpirun, started on the first host, on both. Settings of Open
        MPI in the environment win over these."""
        settings = {
            "plm_rsh_agent": f"{HERE}/rsh.sh",
            "orte_tmpdir_base": "/dev/shm",
            "pml": "ob1",
            "btl": "self,vader,tcp",
            "btl_tcp_if_include": self.link.device,
            "oob_tcp_if_include": self.link.device,
            "btl_vader_single_copy_mechanism": "none",  # containers forbid reading a peer's memory
            "mpi_yield_when_idle": "1",
        }
        places = ",".join(f"{host.address}:{ranks_per_host}" for host in self.hosts)
        return self.hosts[0].command(
            "mpirun", "-q", "--allow-run-as-root", "--bind-to", "none", "--host", places,
            *(word for key, value in settings.items() if f"OMPI_MCA_{key}" not in os.environ
              for word in ("--mca", key, value)), *words)


def _probe():
    try:
        enter_own_space()
        make_host(1).call("ip", "tuntap", "add", "mode", "tun", "name", "probe")
    except NotAllowed as reason:
        print(reason, file=sys.stderr)
        return SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(_probe())
