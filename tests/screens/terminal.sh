#!/bin/bash
# The real program in a real terminal: terminal.sh SONDE. Waits for marks on the screen, never for a
# time; the last line counts.
set -u
sonde=$(realpath "$1")
export LC_ALL=C.UTF-8
unset NO_COLOR COLORTERM TMUX
# A crash is the program's own to handle here, not the sanitizer's.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_segv=0"
socket=sonde-test-$$
passed=0 failed=0
tm() { tmux -u -L "$socket" -f /dev/null "$@"; }
tmp=$(mktemp -d)
echo 'tour false' >"$tmp/config"
export XDG_STATE_HOME=$tmp/state SONDE_CONFIG=$tmp/config
trap 'tm kill-server 2>/dev/null; rm -rf "$tmp"' EXIT
command -v tmux >/dev/null || { echo "no tmux here: 0 passed, 1 failed"; exit 1; }

screen() { tm capture-pane -p; }
wait_for() { # MARK: up to 20 s, since the machine may be busy
    for _ in $(seq 400); do
        screen | grep -qF -- "$1" && return 0
        sleep 0.05
    done
    return 1
}
wait_gone() {
    for _ in $(seq 400); do
        screen | grep -qF -- "$1" || return 0
        sleep 0.05
    done
    return 1
}
check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name (status $(cat "$tmp/status" 2>/dev/null))"
        screen | sed 's/^/    /'
    fi
}
open() { # W H ENV... -- ARGS
    tm kill-server 2>/dev/null
    rm -f "$tmp/status"
    local w=$1 h=$2 vars=()
    shift 2
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        vars+=("$1")
        shift
    done
    [ $# -gt 0 ] && shift
    for _ in $(seq 40); do
        tm new-session -d -x "$w" -y "$h" "env TERM=tmux-256color ${vars[*]:-A=1} '$sonde' $*; echo \$? >'$tmp/status'" \; \
            set-option -g remain-on-exit on 2>/dev/null && return 0
        sleep 0.1
    done
}
pane() { tm display-message -p "#{$1}"; }
# The program's own exit status, written by the shell around it.
ended() {
    for _ in $(seq 400); do
        [ -s "$tmp/status" ] && break
        sleep 0.05
    done
    [ "$(cat "$tmp/status" 2>/dev/null)" = "$1" ]
}
child() {
    local pid
    pid=$(pane pane_pid)
    tr -d ' ' <"/proc/$pid/task/$pid/children"
}
coloured() { tm capture-pane -p -e | grep -q $'\x1b\[[0-9;]*[34]8;5;'; }
plain() { ! tm capture-pane -p -e | grep -qE $'\x1b\[([0-9;]*;)?(3[0-7]|4[0-7]|[34]8|9[0-7])[;m]'; }
ascii() { ! screen | LC_ALL=C grep -q '[^ -~]'; }
fits() { [ "$(screen | wc -L)" -le "$1" ]; }
# The main screen is back: nothing of the workbench is left.
restored() {
    for _ in $(seq 100); do
        [ "$(pane alternate_on)" = 0 ] && ! screen | grep -q "next token" && return 0
        sleep 0.05
    done
    return 1
}

open 100 30
check "first light" wait_for "Σ"
[ "$failed" -eq 0 ] || { echo "$passed passed, $failed failed: it does not start, the rest is not tried"; exit 1; }
check "ready" wait_for "ready"
check "a selection" wait_for "[·to]"
check "colours" coloured
tm send-keys h h
check "moved" wait_for "next token at 12"
check "attention follows" wait_for "query 12"
tm send-keys i C-u 'Mara went to the' Enter
check "another prompt" wait_for "[·the]"
tm send-keys '?'
check "help" wait_for "keys of this pane"
tm send-keys Escape
check "help closes" wait_gone "keys of this pane"
tm send-keys : 'run lens --top 1' Enter
check "a command" wait_for "000-lens"
tm send-keys Escape
check "and back" wait_for "next token at"
tm resize-window -x 80 -y 24
check "resized" wait_for "next token at"
check "fits 80" fits 80
tm resize-window -x 40 -y 10
check "too small" wait_for "sonde needs 60 x 15 cells"
tm resize-window -x 200 -y 60
check "large again" wait_for "Σ"
tm send-keys q
check "quit" ended 0

open 80 24 NO_COLOR=1
check "no colour" wait_for "Σ"
check "really none" plain
# A command of the worker leaves the terminal's signal handlers alone.
tm send-keys -l ":list views"
tm send-keys Enter
check "a command" wait_for "output of list views"
kill -TERM "$(child)"
check "SIGTERM ends it" ended 0
check "SIGTERM restores" restored

open 80 24
check "to be hung up" wait_for "Σ"
kill -HUP "$(child)"
check "SIGHUP ends it" ended 0
check "SIGHUP restores" restored

open 100 30 -- --color 16
check "16 colours" wait_for "Σ"
tm send-keys C-c
check "Ctrl-C leaves" ended 0

open 80 24 -- --ascii
check "ASCII" wait_for "sum"
check "really ASCII" ascii
kill -SEGV "$(child)"
check "a crash is one" ended 139
check "a crash restores" restored

open 80 24 LC_ALL=POSIX TERM=vt100
check "a bare terminal" wait_for "next token"
tm send-keys q
check "leaves it" ended 0

open 80 24 TERM=dumb
check "a terminal without a cursor" ended 2

open 80 24 -- -m /nonexistent
check "no model" wait_for "nonexistent"
tm send-keys q
check "still quits" ended 0

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
