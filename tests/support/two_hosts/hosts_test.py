#!/usr/bin/env python3
"""The two hosts themselves: names, links, what the wire does, and that nothing is left behind.

  hosts_test.py --list                    names of the cases
  hosts_test.py WIRE CASE                 runs one; exit 77 = skipped, with the reason
"""
import glob
import os
import signal
import subprocess
import sys
import time

import hosts

RUN = os.path.join(hosts.HERE, "run.py")

# Answers every datagram; stands on the second host.
ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.77.0.2", 5000))
print("ready", flush=True)
while True: s.sendto(*s.recvfrom(9000))
"""
# Sends COUNT datagrams, one after another's answer or a time-out; prints how many were answered
# and the least time that one took.
ASK = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(float(sys.argv[2]))
times = []
for i in range(int(sys.argv[1])):
    begin = time.monotonic()
    s.sendto(b"%d" % i, ("10.77.0.2", 5000))
    try:
        while s.recv(100) != b"%d" % i: pass
        times.append(time.monotonic() - begin)
    except TimeoutError: pass
print(len(times), min(times, default=0))
"""
# Takes what a connection brings; prints bytes and seconds.
SINK = """
import socket, time
s = socket.create_server(("10.77.0.2", 5001)); print("ready", flush=True)
c, begin, got = s.accept()[0], time.monotonic(), 0
while part := c.recv(1 << 20): got += len(part)
print(got, time.monotonic() - begin)
"""
SOURCE = """
import socket, sys
socket.create_connection(("10.77.0.2", 5001)).sendall(bytes(int(sys.argv[1])))
"""


def python(host, text, *words, **more):
    return subprocess.Popen(host.command(sys.executable, "-c", text, *map(str, words)),
                            stdout=subprocess.PIPE, text=True, **more)


def answered(two, count, timeout=5.0):
    """How many of `count` datagrams were answered, and the shortest time."""
    echo = python(two.hosts[1], ECHO)
    assert echo.stdout.readline() == "ready\n"
    text = python(two.hosts[0], ASK, count, timeout).communicate()[0]
    echo.kill()
    number, least = text.split()
    return int(number), float(least)


def hosts_have_names_and_reach_each_other(wire):
    for link in (hosts.VethPair(), hosts.Wire(wire, mbit=1000, delay_us=0)):
        with hosts.TwoHosts(link) as two:
            for host in two.hosts:
                name = subprocess.run(host.command("hostname"), capture_output=True, text=True)
                assert name.stdout.strip() == host.name, name
            assert answered(two, 3)[0] == 3


def wire_is_no_faster_than_told(wire):
    with hosts.TwoHosts(hosts.Wire(wire, mbit=100, delay_us=20000)) as two:
        number, least = answered(two, 5)
        assert number == 5 and least >= 0.040, (number, least)
        sink = python(two.hosts[1], SINK)
        assert sink.stdout.readline() == "ready\n"
        size = 10_000_000
        python(two.hosts[0], SOURCE, size).wait()
        got, seconds = sink.communicate()[0].split()
        assert int(got) == size
        # All but what a first window may have brought before the clock started.
        assert float(seconds) >= 0.9 * size * 8 / 100e6, seconds
    print(f"{size * 8 / float(seconds) / 1e6:.0f} Mbit/s of 100; {two.link.report}")


def lossy_wire_loses_some(wire):
    with hosts.TwoHosts(hosts.Wire(wire, mbit=1000, delay_us=0, loss=0.3)) as two:
        number, _ = answered(two, 40, timeout=0.05)
        assert 0 < number < 40, number


def cut_wire_is_silent(wire):
    with hosts.TwoHosts(hosts.Wire(wire, mbit=1000, delay_us=0)) as two:
        assert answered(two, 3)[0] == 3
        two.link.cut()
        assert answered(two, 3, timeout=0.2)[0] == 0


def mpirun_has_a_rank_on_each_host_and_ends_with_its_code(wire):
    for more in ([], ["--gbit=1", "--ms=1"]):
        result = subprocess.run([RUN, *more, f"--wire={wire}", "--", "sh", "-c",
                                 "hostname; exit $OMPI_COMM_WORLD_RANK"],
                                capture_output=True, text=True, timeout=60)
        assert result.returncode == 1 and sorted(result.stdout.split()) == ["h1", "h2"], result


def processes_with(text):
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                if text in file.read():
                    found.append(path)
        except OSError:
            pass  # ended meanwhile
    return found


def nothing_outlives_a_killed_script(wire):
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 128 + signal.SIGTERM)):
        mark = f"{os.getpid()}.{number}"
        script = subprocess.Popen([RUN, "--gbit=1", f"--wire={wire}", "--", "sh", "-c",
                                   f"echo started; sleep 1000; : {mark}"],
                                  stdout=subprocess.PIPE, text=True)
        assert [script.stdout.readline() for _ in range(2)] == ["started\n"] * 2
        assert len(processes_with(mark)) > 2
        script.send_signal(number)
        assert script.wait(timeout=30) == code, script.returncode
        deadline = time.time() + 30
        while processes_with(mark):
            assert time.time() < deadline, processes_with(mark)
            time.sleep(0.05)


INSIDE = (hosts_have_names_and_reach_each_other, wire_is_no_faster_than_told,
          lossy_wire_loses_some, cut_wire_is_silent)
OUTSIDE = (mpirun_has_a_rank_on_each_host_and_ends_with_its_code, nothing_outlives_a_killed_script)
CASES = {f.__name__: f for f in INSIDE + OUTSIDE}


def main():
    if sys.argv[1:] == ["--list"]:
        print(";".join(CASES), end="")
        return
    wire, case = os.path.abspath(sys.argv[1]), CASES[sys.argv[2]]
    hosts.skip_unless_allowed()
    if case in INSIDE:
        hosts.enter_own_space()
    case(wire)


if __name__ == "__main__":
    main()
