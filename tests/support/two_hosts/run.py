#!/usr/bin/env python3
"""Runs a command under mpirun on two hosts of this machine, one rank a host:

  run.py [--gbit=1 --ms=1 [--loss=0]] [--ranks-per-host=1] -- COMMAND...

With --gbit or --ms the hosts are joined by a wire of that rate and delay each way, else by a veth
pair. Ends with mpirun's code; 77 where hosts cannot be made, with the reason.
"""
import argparse
import json
import os
import subprocess
import sys

import hosts

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(hosts.HERE)))


def parse(words):
    own, command = (words[:words.index("--")], words[words.index("--") + 1:]) \
        if "--" in words else (words, [])
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gbit", type=float, help="Gbit/s each way (default with --ms: 1)")
    parser.add_argument("--ms", type=float, help="delay each way (default with --gbit: 0)")
    parser.add_argument("--loss", type=float, default=0.0, help="share of packets lost")
    parser.add_argument("--ranks-per-host", type=int, default=1)
    parser.add_argument("--wire", default=f"{ROOT}/build/cpu/tests/support/two_hosts/two_hosts_wire",
                        help="the program (default: of preset cpu)")
    options = parser.parse_args(own)
    if not command:
        parser.error("no command; give it after --")
    return options, command


def link_of(options):
    if options.gbit is None and options.ms is None:
        return hosts.VethPair()
    mbit = 1000 * (1 if options.gbit is None else options.gbit)
    return hosts.Wire(os.path.abspath(options.wire), mbit, round(1000 * (options.ms or 0)),
                      options.loss)


def main():
    options, command = parse(sys.argv[1:])
    try:
        link = link_of(options)
        hosts.enter_own_space()
        with hosts.TwoHosts(link) as two:
            words = two.mpirun(*command, ranks_per_host=options.ranks_per_host)
            code = subprocess.run(words, stdin=subprocess.DEVNULL).returncode
    except hosts.NotAllowed as reason:
        print(f"run.py: {reason}", file=sys.stderr)
        return hosts.SKIPPED
    if link_report := getattr(link, "report", None):
        print(f"run.py: wire {json.dumps(link_report)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
