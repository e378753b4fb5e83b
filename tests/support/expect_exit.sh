#!/bin/sh
# expect_exit.sh CODE PATTERN COMMAND...: runs the command and succeeds when it exits with CODE and
# a line of its output matches PATTERN (grep -E). Time limits are left to the caller.
code=$1 pattern=$2
shift 2
output=$("$@" 2>&1)
got=$?
printf '%s\n' "$output"
if [ "$got" -ne "$code" ]; then
  echo "expected exit code $code, got $got"
  exit 1
fi
if ! printf '%s\n' "$output" | grep -qE -- "$pattern"; then
  echo "expected a line that matches: $pattern"
  exit 1
fi
