# What run.sh and profile.sh share: where things are, how much time is left, how a step runs.
# Sourced at the root of a tree or of an unpacked bundle, which has its programs in bin/.
: "${MINUTES:=9}" "${BIN:=bin}" "${TESTS:=$BIN/rmt-tests}" "${JOBS:=8}" "${RIVAL:=}" "${OFFICIAL:=}"
: "${PHOTOS:=}"
[ -n "$RIVAL" ] || { [ ! -f rival/rival.py ] || RIVAL=rival/rival.py; }
[ -n "$OFFICIAL" ] || { [ ! -f rival/RMT.py ] || OFFICIAL=rival; }
[ -n "$PHOTOS" ] || { [ ! -d photos ] || PHOTOS=photos; }
# A bundle knows what it is; "emulated" is one for rehearsals on a machine without a GPU.
if [ -f bundle.txt ]; then : "${EMULATED:=$(sed -n 's/^emulated //p' bundle.txt)}"; fi
: "${EMULATED:=0}"
device=$([ "$EMULATED" = 1 ] && echo emulated || echo cuda)
case $BIN in /*) ;; *) BIN=$PWD/$BIN ;; esac
began=$(date +%s)
end=$((began + MINUTES * 60 - 5 - MINUTES))  # the last seconds are for the summary
processors=$(nproc)
tab=$(printf '\t')
mkdir -p "$OUT" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

left() { echo $((end - $(date +%s))); }
seconds() { echo $(($(date +%s) - began)); }
say() { echo "== $* ($(seconds) s)"; }

# Seconds for step $1: of the time that is left, its part among the steps that are to come.
# $steps: "name:weight name:weight ..."
budget() {
  echo "$steps" | tr ' ' '\n' | awk -F: -v name="$1" -v left="$(left)" '
    $1 == name { on = 1; mine = $2 }
    on { sum += $2 }
    END { print (sum && left > 0 ? int(left * mine / sum) : 0) }'
}

# Runs the tasks of stdin (lines "name<TAB>command") for step $1, $2 side by side, at most $3 seconds
# each, and all in $4 (100) per cent of what the step has left. Outcomes are added to results.tsv, and
# what went wrong to failures.txt.
tasks() {
  mkdir -p "$work/$1"
  touch "$work/$1/results"
  before=$(wc -l <"$work/$1/results")
  now=$(date +%s)
  sh tests/gpu/tasks.sh "$1" "$2" "$3" $((now + (step_end - now) * ${4:-100} / 100)) "$work/$1"
  tail -n +$((before + 1)) "$work/$1/results" >"$work/new"
  cut -f 1-4 "$work/new" >>"$OUT/results.tsv"
  awk -F '\t' '$3 != "ok" && $3 != "not run" { print $2 "\t" $3 "\t" $5 }' "$work/new" |
    while IFS=$tab read -r name outcome log; do
      echo "---- $1: $name: $outcome"
      tail -n 60 "$log" | cut -c 1-400
    done >>"$OUT/failures.txt"
}

# The logs of the tasks of step $1 that ran, in the order of their ends.
logs() { awk -F '\t' '$3 != "not run" { print $5 }' "$work/$1/results"; }
# The JSON lines among them.
collect() {
  # shellcheck disable=SC2046
  cat $(logs "$1") /dev/null | grep -a '^{' >>"$OUT/bench.jsonl"
}

# One line: how many tasks of step $1 ended how. "12 ok, 1 failed, 1 killed by signal 6"
outcomes() {
  awk -F '\t' '
    !($3 in n) { order[++kinds] = $3 }
    { ++n[$3] }
    END {
      printf "%d ok", n["ok"]
      for (i = 1; i <= kinds; ++i) if (order[i] != "ok") printf ", %d %s", n[order[i]], order[i]
      print ""
    }' "$work/$1/results"
}

# A line for each task of step $1 that ran and did not end well: its name, how, and what it said.
not_ok() {
  awk -F '\t' '$3 != "ok" && $3 != "not run" { print $2 "\t" $3 "\t" $5 }' "$work/$1/results" |
    while IFS=$tab read -r name outcome log; do
      # A failed assertion, a message of a program or of the loader, or else the last line.
      said=$(grep -aE -m 1 'Failure$|: error|rror:|rror while|Error|what\(\)' "$log" ||
        grep -avE '^ *$|^(Aborted|Segmentation fault|timeout:)' "$log" | tail -n 1)
      echo "  $name: $outcome${said:+: $said}" | cut -c 1-200
    done
}

# The folder of library $1 (a pattern): named by CUDA_LIB, where the loader looks by itself (then
# "-"), in a toolkit, or in Python's packages of CUDA.
library() {
  for folder in $(echo "${CUDA_LIB:-}:${LD_LIBRARY_PATH:-}" | tr : ' '); do
    ls "$folder"/$1 >/dev/null 2>&1 && echo "$folder" && return
  done
  PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -q "^.$(echo "$1" | sed 's/\*/.*/')" &&
    echo - && return
  nvcc=$(command -v nvcc) && nvcc=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
  packages=$(python3 -c 'import sys; print(*(p for p in sys.path if p and " " not in p))' 2>/dev/null)
  for folder in ${nvcc:+$nvcc/lib64} /usr/local/cuda/lib64 /usr/local/cuda-*/lib64 \
    /usr/local/cuda*/targets/x86_64-linux/lib /usr/local/nvidia/lib64 /usr/lib/x86_64-linux-gnu/nvidia \
    /usr/lib/wsl/lib $(for p in $packages; do echo "$p"/nvidia/*/lib; done); do
    ls "$folder"/$1 >/dev/null 2>&1 && echo "$folder" && return
  done
  return 1
}

# A program of CUDA's tools, on PATH or where toolkits put it.
tool() {
  command -v "$1" 2>/dev/null && return
  for file in /usr/local/cuda/bin/"$1" /usr/local/cuda-*/bin/"$1" \
    /usr/local/cuda*/"$1"/"$1" /opt/nvidia/nsight-compute/*/"$1"; do
    [ -x "$file" ] && echo "$file" && return
  done
  return 1
}

# Does the device compute? Prints the machine and a line that begins with RUNS or DOES NOT RUN, and
# lets the programs find CUDA's libraries.
start() {
  machine >"$work/start"
  cat "$work/start"
  probe
}
machine() {
  echo "machine: $(date '+%F %T'), Linux $(uname -r), $processors processors, $(sed -n \
    's/^model name.*: //p' /proc/cpuinfo | head -n 1)"
  if [ -f bundle.txt ]; then echo "bundle: $(tr '\n' ' ' <bundle.txt)"; fi
  [ "$EMULATED" = 0 ] || return 0
  gpu=$(timeout 4 nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm \
    --format=csv,noheader 2>&1 | head -n 1)
  echo "GPU: ${gpu:-nvidia-smi says nothing}"
  # The runtime is linked into the programs; it looks for the driver's library when it starts.
  for name in libcuda.so.1 "$(grep -aom 1 'libcublasLt\.so\.[0-9]*' "$BIN/rmt-bench" | head -n 1)"; do
    [ -n "$name" ] || continue
    folder=$(library "$name") || folder="not found"
    echo "$name: $([ "$folder" = - ] && echo "known to the loader" || echo "$folder")"
    case $folder in /*) LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} ;; esac
  done
  [ -z "${LD_LIBRARY_PATH:-}" ] || export LD_LIBRARY_PATH
}
probe() {
  from=$(date +%s)
  timeout 30 "$BIN/rmt-bench" --device $device --model rmt_n --img-size 32 --batch 1 --warmup 0 \
    --iters 1 --json >"$work/probe" 2>&1
  status=$?
  said=$(grep -av '^ *$' "$work/probe" | tail -n 1)
  if [ $status = 0 ]; then
    runs=1
    said="RUNS on $(echo "$said" | sed 's/.*"device": "\([^"]*\)".*/\1/'), first kernels within \
$(($(date +%s) - from)) s"
  else
    runs=0
    said="DOES NOT RUN: $BIN/rmt-bench: ${said:-status $status}"
  fi
  say "$said"
  echo "$said" >>"$work/start"
}

# Where there is a GPU, nvcc and make, the programs are built for it from the sources beside this,
# with the headers in deps/; at most half of the time.
build_again() {
  nvcc=$(tool nvcc)
  arch=$(timeout 4 nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>&1 | head -n 1 |
    sed -n 's/^\([0-9]*\)\.\([0-9]\)$/\1\2/p')
  if [ "${REBUILD:-1}" = 0 ] || [ -z "$nvcc" ] || [ -z "$arch" ] ||
    ! command -v make >/dev/null || ! command -v g++ >/dev/null; then
    say "not built again: that takes a GPU, nvcc, make and g++"
    return
  fi
  say "building for compute capability $arch, at most $(($(left) / 2)) s"
  flags=-I$PWD/deps/include libraries=""
  if ! ls "$(dirname "$(readlink -f "$nvcc")")"/../lib64/libcublasLt.so* >/dev/null 2>&1; then
    folder=$(library 'libcublasLt.so*') && libraries=CUDA_LIB=$folder flags="$flags -I$folder/../include"
  fi
  export LIBRARY_PATH="$PWD/deps/lib${LIBRARY_PATH:+:$LIBRARY_PATH}"
  again() {
    timeout $(($(left) / 2)) make CUDA=1 CUDA_ARCHS="$arch" NVCC="$nvcc" CPPFLAGS="$flags" \
      ${libraries:+"$libraries"} "$@"
  }
  if again gpu-programs >"$OUT/build.txt" 2>&1; then
    BIN=$PWD/$(again -s where-programs) TESTS=$(again -s where-tests)
    probe
  else
    say "the build failed: $(tail -n 1 "$OUT/build.txt")"
  fi
}

# Runs the steps that $STEPS names, each a function of that name, which leaves its results under
# $work, and writes the report $1 anew after each; STEP_table prints its part.
run_steps() {
  report=$1
  steps=""
  for step in $STEPS; do
    why=$(why_not "$step" | head -n 1)
    [ -z "$why" ] || echo "$step: left out: $why" >>"$work/start"
    [ -n "$why" ] || steps="$steps $step:$(weight "$step")"
  done
  for step in $(echo "$steps" | sed 's/:[0-9]*//g'); do
    step_end=$(($(date +%s) + $(budget "$step")))
    say "$step, at most $(budget "$step") s"
    $step
    summary >"$OUT/$report"
  done
  summary | tee "$OUT/$report"
}
summary() {
  echo "== summary of $(date '+%F %T'), after $(seconds) s"
  cat "$work/start"
  for step in $(echo "$steps" | sed 's/:[0-9]*//g'); do
    [ ! -f "$work/$step/results" ] || "${step}_table"
  done
  [ ! -s "$OUT/bench.jsonl" ] || awk -f tests/gpu/speeds.awk "$OUT/bench.jsonl"
}
