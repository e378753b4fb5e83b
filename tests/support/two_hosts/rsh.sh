#!/bin/sh
# What mpirun calls instead of ssh (plm_rsh_agent): rsh.sh [options] 10.77.0.N COMMAND... runs the
# command on host N of hosts.py. Everything of this process's environment goes along.
while [ "${1#-}" != "$1" ]; do shift; done
files=/dev/shm/hosts/h${1##*.}
shift
exec nsenter --net="$files.net" --uts="$files.uts" "$files.cores" sh -c "$*"
