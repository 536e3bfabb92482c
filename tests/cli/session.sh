#!/bin/bash
# A session of the workbench is a log that sonde batch replays to the same bytes, and that reopens where
# it ended: session.sh SONDE PYTHON. Waits for marks on the screen, never for a time.
set -u
sonde=$(realpath "$1")
python=$2
here=$(cd "$(dirname "$0")" && pwd)
export LC_ALL=C.UTF-8
unset NO_COLOR COLORTERM TMUX
socket=sonde-session-$$
passed=0 failed=0
tm() { tmux -u -L "$socket" -f /dev/null "$@" 2>/dev/null; }
tmp=$(mktemp -d)
trap 'tm kill-server 2>/dev/null; rm -rf "$tmp"' EXIT
command -v tmux >/dev/null || { echo "no tmux here: 0 passed, 1 failed"; exit 1; }
echo 'tour false' >"$tmp/config"
export XDG_STATE_HOME=$tmp/state SONDE_CONFIG=$tmp/config

screen() { tm capture-pane -p; }
wait_for() {
    for _ in $(seq 400); do
        screen | grep -qF -- "$1" && return 0
        sleep 0.05
    done
    return 1
}
wait_log() { # FILE TEXT
    for _ in $(seq 400); do
        grep -qF -- "$2" "$1" 2>/dev/null && return 0
        sleep 0.05
    done
    return 1
}
check() {
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name"
        screen 2>/dev/null | sed 's/^/    /'
    fi
}
open() { # ARGS
    tm kill-server 2>/dev/null
    rm -f "$tmp/status"
    for _ in $(seq 40); do
        tm new-session -d -x 110 -y 32 \
            "env TERM=tmux-256color '$sonde' $*; echo \$? >'$tmp/status'; sleep 60" && return 0
        sleep 0.1
    done
}
ended() {
    for _ in $(seq 400); do
        [ -s "$tmp/status" ] && break
        sleep 0.05
    done
    [ "$(cat "$tmp/status" 2>/dev/null)" = "$1" ]
}
same() { "$python" "$here/same_report.py" "$1" "$2"; }

log=$tmp/a.log
open --log "$log" -o "$tmp/a.h5" -p "'It'\\''s the \"first\" one'"
check "ready" wait_for "Σ"
tm send-keys h h
check "attribution where the cursor went" wait_log "$log" "--dla.pos=9"
tm send-keys i C-u 'Mara went to the' Enter
check "a prompt" wait_log "$log" "prompt 'Mara went to the'"
check "its attribution" wait_log "$log" "went to the' '--dla"
tm send-keys : 'edit L3H1=zero' Enter
check "an edit" wait_log "$log" "edits L3H1=zero"
check "computed under the edit" wait_log "$log" "--edit L3H1=zero"
tm send-keys B
check "no BOS" wait_log "$log" "bos off"
tm send-keys : 'run norms,logits' Enter
check "a command" wait_for "done in"
tm send-keys Escape
tm send-keys u
check "undone" wait_log "$log" "bos on"
check "and computed" wait_for "BOS  Mara"
tm send-keys 5
check "a layout" wait_log "$log" "layout 5"
tm send-keys '|'
check "a split" wait_log "$log" "layout 5 ["
tm send-keys h
check "the cursor at rest" wait_log "$log" "select pos=3"
tm send-keys C-q
check "left" ended 0
check "the report is there" [ -s "$tmp/a.h5" ]
"$sonde" batch "$log" -o "$tmp/b.h5" -q
check "batch takes the log" [ $? -eq 0 ]
check "and gives the same bytes" same "$tmp/a.h5" "$tmp/b.h5"
"$sonde" batch "$tmp/b.h5" -q 2>/dev/null
check "a report is no log" [ $? -ne 0 ]
# The comparison must be able to fail.
grep -v 'edits' "$log" | sed 's/ --edit L3H1=zero//' >"$tmp/less.log"
"$sonde" batch "$tmp/less.log" -o "$tmp/less.h5" -q
check "a lost edit shows" eval '! same "$tmp/a.h5" "$tmp/less.h5" >/dev/null'

open --session "$log" --log "$tmp/c.log"
check "reopened" wait_for "Mara went to the"
check "under its edit" wait_for "under 1 edit"
check "at its place" wait_for "[·to]"
check "with its layout" wait_log "$tmp/c.log" "layout 5 ["
tm send-keys C-q
check "left again" ended 0
check "nothing moved" cmp <(grep -v '^run\|^#\|^focus lens' "$tmp/c.log" | sort) \
    <(for w in model prompt edits layout select; do grep "^$w" "$log" | tail -1; done | sort)

# Killed in mid-session: what was done is in the log, and the last session opens by itself.
open
check "a log of its own" wait_for "Σ"
tm send-keys i C-u 'Tobin gave the' Enter
own=$(ls "$XDG_STATE_HOME"/sonde/sessions/*.log)
check "the new prompt's numbers" wait_log "$own" "gave the' '--dla"
kill -9 "$(pgrep -P "$(tm display-message -p '#{pane_pid}')")"
check "killed" ended 137
check "whole lines" [ -z "$(tail -c1 "$own")" ]
"$sonde" batch "$own" -o "$tmp/d.h5" -q
check "replays" [ $? -eq 0 ]
open --resume
check "the last session" wait_for "Tobin gave the"
tm send-keys C-q
check "over" ended 0

# Killed while one command runs and two wait: what was asked for is in the log, a replay leaves it out, and
# the next session offers it without starting it.
sessions() { ls -t "$XDG_STATE_HOME"/sonde/sessions/*.log; }
long="run patch --dataset ioi_tiny:400 --site neuron"
open
check "a session to be killed" wait_for "Σ"
own=$(sessions | head -1)
tm send-keys : 'run norms' Enter
check "one is done" wait_log "$own" "as run norms"
check "and says so" wait_for "done in"
tm send-keys Escape
tm send-keys : "$long" Enter
tm send-keys : 'run logits' Enter
tm send-keys : 'run heads' Enter J
check "one runs, two wait" wait_for "1 running, 2 waiting"
tm send-keys g j x
check "one is taken back" wait_log "$own" "# cancelled: run logits"
kill -9 "$(pgrep -P "$(tm display-message -p '#{pane_pid}')")"
check "killed while it ran" ended 137
check "what ran is asked for" grep -qF "# asked: $long" "$own"
check "what waited too" grep -qF "# asked: run heads" "$own"
check "and none is a line" eval '! grep -q "^run patch\|^run heads" "$own"'
note=$("$sonde" batch "$own" -o "$tmp/e.h5" 2>&1 >/dev/null)
check "a replay leaves them out" eval '[ -s "$tmp/e.h5" ] && [[ $note == *"not done"* ]]'
open --resume
check "the next says so" wait_for "not done, 1 report of that session is gone"
tm send-keys J
check "and lists them" wait_for "not done   run heads"
check "those gone too" wait_for "gone       run norms"
check "none started" wait_for "0 running, 0 waiting, 0 ended"
again=$(sessions | head -1)
check "its log has them as well" grep -qF "# asked: run heads" "$again"
tm send-keys g j Enter
check "one key starts one" wait_for "done       run heads"
tm send-keys G Enter
check "and computes one again" wait_for "done       run norms"
tm send-keys C-q
check "left" ended 0
check "what was run is a line" grep -q "^run heads" "$again"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
