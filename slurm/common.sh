# What the batch scripts of this folder share: `train_all_ranks` starts the ranks of a job, hands
# Slurm's signals on to them, and puts the job back into the queue when the run was stopped and
# saved. Sourced, with `seqrank` (the program) and `launcher` (srun or mpirun) set. It knows
# nothing of models or settings.

# What squeue and scontrol call this job. The last task of an array has the id of the whole array.
this_job() {
  if [[ -n ${SLURM_ARRAY_TASK_ID:-} ]]; then
    echo "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
  else
    echo "$SLURM_JOB_ID"
  fi
}

# When the job's time ends, in seconds since 1970, or nothing: then USR1 is left to stop the run.
job_end() {
  local end
  if [[ -n ${SLURM_JOB_END_TIME:-} ]]; then
    echo "$SLURM_JOB_END_TIME"
    return
  fi
  end=$(squeue --noheader --jobs="$(this_job)" --format=%e)  # before Slurm 23.02 only squeue knows
  # date takes an empty text for last midnight: every run would stop at once.
  if [[ -n $end ]]; then date --date="$end" +%s 2>/dev/null; fi
}

# Becomes the launcher: signals to this process are the launcher's. USR1 would end one that does
# not listen yet; so it starts deaf to it.
become_launcher() {
  trap '' USR1
  case $launcher in
    # --cpus-per-task: since 22.05 srun does not take it from the job, and would give one processor.
    srun)
      exec srun --mpi=pmix --kill-on-bad-exit=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" "$@"
      ;;
    mpirun) exec mpirun -q --bind-to none "$@" ;;
  esac
  echo "launcher=$launcher: srun or mpirun"
  exit 2
}

# When 75 says that everything is saved. A job that Slurm itself ends or requeues meanwhile is no
# longer RUNNING, and what becomes of it is settled: `scancel` is not to be undone.
requeue() {
  local state
  state=$(squeue --noheader --jobs="$(this_job)" --format=%T)
  if [[ -z $state || $state == RUNNING ]]; then
    echo "stopped and saved; putting the job back into the queue"
    scontrol requeue "$(this_job)"
  else
    echo "stopped and saved; the job is $state and stays as Slurm left it"
  fi
}

train_all_ranks() {
  local end words code heard result
  result=$(mktemp)
  words=("$seqrank" train --threads="${SLURM_CPUS_PER_TASK:-1}" --json="$result")
  end=$(job_end)
  if [[ -n $end ]]; then words+=(--stop-at="$end"); fi
  become_launcher "${words[@]}" "$@" &
  local ranks=$!
  # Both launchers pass USR1 on, and the ranks save and end with 75. With TERM they would end them.
  trap 'heard=yes; kill -USR1 "$ranks" 2>/dev/null' USR1 TERM
  while :; do
    heard=no
    wait "$ranks"
    code=$?
    if [[ $heard == no ]]; then break; fi  # else it was a signal that ended the waiting
  done
  trap '' USR1 TERM

  # The ranks' word counts before the launcher's: srun of 22.05 ends with 0 when it could not start
  # them at all, and mpirun that gets TERM, as when it is preempted, with a code of its own.
  if grep -q stopped_resumable "$result"; then
    code=75
  elif [[ $code == 0 && ! -s $result ]]; then
    echo "$launcher ended with 0, but no rank has said that training is finished"
    code=1
  fi
  rm -f "$result"
  if [[ $code == 75 ]]; then requeue; fi  # anything else is the end, good or bad
  exit "$code"
}
