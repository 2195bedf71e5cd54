#!/bin/sh
# Runs the tasks of stdin side by side, each a process group of its own with a time limit, so that
# one that hangs, aborts or poisons its GPU context spoils nothing else.
#   tasks.sh STEP JOBS LIMIT END FOLDER < lines "name<TAB>command"
# LIMIT: seconds for a task; END: when all must be over, in seconds since 1970; a task that would
# begin later is not run. FOLDER/results gains a line for each:
#   STEP <TAB> name <TAB> outcome <TAB> seconds <TAB> log
# outcome: ok, failed, killed by signal N, over its N s, does not start, not run
set -u
if [ "$1" != one ]; then
  xargs -r -d '\n' -P "$2" -n 1 sh "$0" one "$@"
  exit 0
fi
step=$2 limit=$4 end=$5 folder=$6 line=$7
tab=$(printf '\t')
name=${line%%"$tab"*} command=${line#*"$tab"}
log=$folder/$(echo "$name" | tr -c 'A-Za-z0-9._\n-' _).log
began=$(date +%s)
[ $((end - began)) -ge "$limit" ] || limit=$((end - began))
if [ "$limit" -le 0 ]; then
  outcome="not run"
else
  timeout -k 3 "$limit" sh -c "$command" >"$log" 2>&1 </dev/null
  status=$?
  case $status in
    0) outcome=ok ;;
    124) outcome="over its $limit s" ;;
    126 | 127) outcome="does not start" ;;
    12[89] | 1[3-9]?) outcome="killed by signal $((status - 128))" ;;
    *) outcome=failed ;;
  esac
  # timeout's second signal, which it sends where the first one is not obeyed.
  [ $status = 137 ] && [ $(($(date +%s) - began)) -ge "$limit" ] && outcome="over its $limit s"
fi
printf '%s\t%s\t%s\t%d\t%s\n' "$step" "$name" "$outcome" $(($(date +%s) - began)) "$log" \
  >>"$folder/results"
