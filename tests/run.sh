#!/bin/bash
# Builds and tests everything from nothing on Debian 12: tests/run.sh. Installs what is missing (as root
# or by sudo), builds with gcc, with clang, and with ASan and UBSan, runs the whole suite on the first
# and the last, and ends with one line: N passed, N failed.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
. app/packages.sh
passed=0 failed=0
verdict() { # WHAT STATUS
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok      $1"
    else
        failed=$((failed + 1))
        echo "FAILED  $1"
    fi
}
finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}

if ! need $build_packages $test_packages; then
    verdict 'installing the packages' 1
    finish
fi

# build DIR COMPILER [SETUP FLAGS]: configures once, builds, and fails on any warning.
build() {
    local dir=$1 compiler=$2 log
    shift 2
    log=$dir.log
    {
        if [ -f "$dir/build.ninja" ]; then
            CC=$compiler meson setup --reconfigure "$dir" "$@"
        else
            CC=$compiler meson setup "$dir" "$@"
        fi && ninja -C "$dir"
    } >"$log" 2>&1
    local rc=$?
    if grep -E 'warning:|error:|ERROR:' "$log" | head -20 | grep .; then
        rc=1
    elif [ "$rc" -ne 0 ]; then
        tail -20 "$log"
    fi
    verdict "build $dir ($compiler)" "$rc"
    return "$rc"
}

# suite DIR [FLAGS]: every test of a build, one verdict each.
suite() {
    local dir=$1
    shift
    meson test -C "$dir" --no-rebuild --print-errorlogs "$@" >"$dir.tests" 2>&1
    while read -r result name; do
        verdict "$dir $name" "$([ "$result" = OK ] && echo 0 || echo 1)"
    done < <(sed -nE '/^Summary of Failures/q; s/^ *[0-9]+\/[0-9]+ +(.*[^ ]) +(OK|FAIL|TIMEOUT|ERROR|UNEXPECTEDPASS|INTERRUPT) .*/\2 \1/p' "$dir.tests")
    grep -qE '^Ok:' "$dir.tests" || verdict "$dir: the suite ended early" 1
    grep -E '^(FAIL|Fail|Timeout): +[1-9]' "$dir.tests" >/dev/null && tail -150 "$dir.tests"
}

build build-gcc gcc -Dbuildtype=release && suite build-gcc
build build-clang clang -Dbuildtype=release
if build build-asan gcc -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false; then
    export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    suite build-asan -t 4 --no-suite house
fi
finish
