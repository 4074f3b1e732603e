# shellcheck shell=bash
# Runs the steps of scripts/test in lanes: the steps of a lane one after the other, the lanes beside each other. Sourced, with
# the options of scripts/test. Each step has a process group, a log, a time limit, a priority, and a line when it is over.

# A step that takes longer hangs. Those at low priorities get little of the machine while others run.
step_seconds_max=1200
low_step_seconds_max=2400
# A line at intervals shows what runs.
step_seconds_told=${STEP_SECONDS_TOLD:-45}

logs=$(mktemp -d)
# Of steps that are planned: by lane in their order, what each waits for, its command and priority.
lanes=()
declare -A queue=() lane_of=() needs=() commands=() niceness=()
# Of steps that run, by name: their groups (the first is the step's own), and when they began.
declare -A running=() began=()
# Steps that are over.
declare -A over=()
ticker=
passed=0
failed=0
# The steps that failed. They are named once more at the end, because only a part of a long log is shown in many places.
failures=()

finish() {
  local name
  for name in "${!running[@]}"; do end "$name"; done
  if [ -n "$ticker" ]; then disown "$ticker"; kill -KILL -- "-$ticker"; fi 2>/dev/null || true
  rm -rf "$logs"
}
trap finish EXIT
trap 'exit 130' INT TERM

# ---- planning ----

# Plans a step: plan LANE NICENESS NAME [NEEDED ...] -- COMMAND ... What it needs must be over, not well.
plan() {
  local lane=$1 name=$3
  lane_of[$name]=$lane niceness[$name]=$2 needs[$name]=
  shift 3
  while [ "$1" != -- ]; do needs[$name]+=" $1"; shift; done
  shift
  commands[$name]=$(printf '%q ' "$@")
  if [ -z "${queue[$lane]+set}" ]; then lanes+=("$lane"); fi
  queue[$lane]+=" $name"
}

# Whether a step can begin: all that it needs is over.
is_ready() {
  local need
  for need in ${needs[$1]}; do [ -n "${over[$need]+set}" ] || return 1; done
}

# Begins the next step of each lane that is free.
advance() {
  local lane name rest
  for lane in "${lanes[@]}"; do
    read -r name rest <<<"${queue[$lane]}"
    if [ -z "$name" ] || [ -n "${running[$name]+set}" ]; then continue; fi
    if is_ready "$name"; then start "$name"; fi
  done
}

# Runs what is planned, to the end.
run_lanes() {
  local ended name
  tick
  # Not in a condition: that would switch off `set -e` in the steps.
  while true; do
    advance
    if [ ${#running[@]} = 0 ]; then break; fi
    ended=
    wait -n -p ended $(leaders) "$ticker" || true
    if [ "$ended" = "$ticker" ]; then tell; tick; fi
    for name in "${!running[@]}"; do
      # Some may have ended before they were waited for.
      if [ "${running[$name]%% *}" = "$ended" ] || [ -s "$logs/$name.result" ]; then conclude "$name"; fi
    done
  done
  for name in "${!commands[@]}"; do
    if [ -z "${over[$name]+set}" ]; then echo "FAILED $name: never begun, needs${needs[$name]}"; failed=$((failed + 1)); fi
  done
}

leaders() { local each; for each in "${running[@]}"; do echo "${each%% *}"; done; }

tick() { sleep "$step_seconds_told" & ticker=$!; }

# Names the steps that run, each with its seconds.
tell() {
  local name text=
  for name in "${!running[@]}"; do text+=", $name $((SECONDS - began[$name])) s"; done
  echo "...    ${text:2}"
}

# ---- one step ----

# Starts a step: a command or a function.
start() {
  local name=$1 group limit=$step_seconds_max
  if [ "${niceness[$name]}" -gt 0 ]; then limit=$low_step_seconds_max; fi
  record "$name" &
  group=$!
  { sleep "$limit"; kill -KILL -- "-$group"; } >/dev/null 2>&1 &
  disown $!
  running[$name]="$group $!"
  began[$name]=$SECONDS
}

# Kills what is left of a step and its watchdog. Nothing it started outlives it.
end() {
  local group
  for group in ${running[$1]}; do kill -KILL -- "-$group" 2>/dev/null || true; done
  unset "running[$1]"
}

record() {
  # Not `command || code=$?`: that would switch off `set -e` inside a step that is a function.
  set +em
  local name=$1 code
  renice -n "${niceness[$name]}" -p "$BASHPID" >/dev/null 2>&1
  (set -e; eval "${commands[$name]}") >"$logs/$name" 2>&1 </dev/null
  code=$?
  # The second line of times is that of the step; in a pipe it would be another shell's.
  times >"$logs/$name.times"
  echo "$code $(tail -n 1 "$logs/$name.times")" >"$logs/$name.result"
}

# Says how a step went that is over, and goes on in its lane.
conclude() {
  local name=$1 seconds=$((SECONDS - began[$1])) code=killed user=0m0 system=0m0 word=ok rest
  end "$name"
  over[$name]=yes
  read -r _ rest <<<"${queue[${lane_of[$name]}]}"
  queue[${lane_of[$name]}]=$rest
  if [ -s "$logs/$name.result" ]; then read -r code user system <"$logs/$name.result"; fi
  [ "$code" = 0 ] || word=FAILED
  count "$name" "$code"
  printf '%-7s%-14s%5s s%6s s of CPU  %s\n' "$word" "$name" "$seconds" "$(($(whole "$user") + $(whole "$system")))" "$(remark "$name")"
  if [ "$code" != 0 ]; then
    failures+=("$name")
    tail -n 100 "$logs/$name" | sed 's/^/  /'
  fi
}

# The whole seconds of a time such as 2m3.456s.
whole() { local minutes=${1%%m*} seconds=${1#*m}; echo $((10#$minutes * 60 + 10#${seconds%%[.s]*})); }

# ---- what steps say ----

# The tests that failed in a step, by the marks of the runners, each with the lines that follow it in its log.
explain() {
  { grep -E -A 4 '^FAILED |^ +(FAIL|TIMEOUT|SIGABRT|SIGSEGV) +\[' "$logs/$1" || true; } | head -n 60 | sed 's/^/  /'
}

# The tests that passed only when they were run again, with the reason why they failed before.
unsteady() { { grep -hs -E -A 2 '^UNSTEADY ' "$logs"/* || true; } | head -n 60 | sed 's/^/  /'; }

# What a step has to say of itself: its count, or a line that begins with "note: ".
remark() {
  case $1 in
    tests) grep -Eo '[0-9]+ tests? run: .*' "$logs/$1" ;;
    browsers | middleboxes | sockjs | bayeux | tcp | library | backends | deploy | packages) grep -E '^[0-9]+ passed, [0-9]+ failed$' "$logs/$1" ;;
    autobahn) grep -E '^[0-9]+ of [0-9]+ cases: ' "$logs/$1" ;;
    mutations) ;; # The panics that are wanted there bring notes of Rust's own.
    *) grep -E '^note: ' "$logs/$1" ;;
  esac | tail -n 1 || true
}

# Adds a step's tests to the sums. A failed step counts for at least one failure.
count() {
  local name=$1 code=$2 good=0 bad=0
  case $name in tests | doctests | library | backends | deploy | browsers | middleboxes | sockjs | bayeux | tcp | autobahn | packages)
    good=$(total "$name" passed)
    bad=$(total "$name" 'failed|timed out') ;;
  esac
  [ "$code" = 0 ] || [ "$bad" -gt 0 ] || bad=1
  passed=$((passed + good))
  failed=$((failed + bad))
}

# Sums the numbers before a word in the lines with which the runners close.
total() {
  { grep -E '[0-9]+ tests? run:|^test result:|^[0-9]+ passed, [0-9]+ failed$' "$logs/$1" || true; } |
    { grep -Eo "[0-9]+ ($2)" || true; } | awk '{n += $1} END {print n + 0}'
}
