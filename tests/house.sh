#!/bin/bash
# The house rules that a machine can check: house.sh [ROOT]. One line a fault; the last line counts.
# Lengths are warnings, everything else fails.
set -u
root=${1:-$(cd "$(dirname "$0")/.." && pwd)}
cd "$root" || exit 1
faults=0 warnings=0 checks=0
fault() { echo "FAULT $*"; faults=$((faults + 1)); }
warn() { echo "warning: $*"; warnings=$((warnings + 1)); }
check() { checks=$((checks + 1)); }

rooms='app analysis model views datasets'
sources=$(find $rooms -name '*.[ch]' -o -name '*.def' | sort)
tracked() { git ls-files --cached --others --exclude-standard 2>/dev/null || find . -type f; }

# --- What a room may include -------------------------------------------------------------------
may_include() {
    case $1 in
    model/core/*) echo '^model/core/' ;;
    model/*) echo '^model/' ;;
    datasets/*) echo '^(datasets|model/core)/' ;;
    analysis/report/*) echo '^(analysis/report|model/core)/' ;;
    analysis/*) echo '^(analysis|datasets|model)/' ;;
    views/*) echo '^(views|analysis/report|model/core)/' ;;
    *) echo '^(app|analysis|model|views|datasets)/' ;;
    esac
}
check
for f in $sources; do
    allowed=$(may_include "$f")
    while read -r inc; do
        [[ $inc =~ $allowed ]] || fault "$f includes $inc: its room may not"
        [ -e "$inc" ] || fault "$f includes $inc: no such file (paths start at the root)"
    done < <(sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$f")
done

# --- Front doors of foreign libraries ----------------------------------------------------------
front_door() { # PATTERN FILES...
    local pattern=$1 f
    shift
    check
    for f in $(grep -lE "^ *# *include *[<\"]($pattern)" $sources); do
        [[ " $* " == *" $f "* ]] || fault "$f includes $pattern: only $* may"
    done
}
front_door 'cblas|lapack|openblas' model/core/blas.c model/core/linalg.c model/ops.c
front_door 'pcre2' model/core/regex.c
front_door '(n?curses|term)\.h|ncursesw/' app/term.c
front_door 'hdf5' model/core/h5.c model/core/h5_read.c $(ls model/cache*.c) analysis/report/report_h5.c
front_door 'jansson' model/core/json.c
front_door 'utf8proc' model/core/text.c
front_door 'xxhash' model/core/hash.c
front_door '(zlib|zstd)' model/core/stream.c

# --- Every file is listed, every header stands alone -------------------------------------------
check
for f in $(find $rooms tests -name '*.c'); do
    base=$(basename "$f" .c) lists='' dir=$(dirname "$f")
    while [ "$dir" != . ]; do
        [ -f "$dir/meson.build" ] && lists="$lists $dir/meson.build"
        dir=$(dirname "$dir")
    done
    cat $lists /dev/null | grep -qE "'([a-z0-9_/-]*/)?${base}(\.c)?'|'${base#verb_}'|'${base#view_}'" ||
        fault "$f is in no meson.build"
done
check
compiler=${CC:-cc}
headers=$(find $rooms -name '*.h')
export compiler
while read -r line; do fault "$line"; done < <(
    printf '%s\n' $headers | xargs -P 2 -I{} bash -c '
        $compiler -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -fsyntax-only -I. -include stddef.h \
            -x c <(printf "#include \"%s\"\n" {}) >/dev/null 2>/tmp/house.$$ ||
            echo "{} does not compile alone: $(grep -m1 error /tmp/house.$$)"
        rm -f /tmp/house.$$')
check
for f in $headers; do
    name=$(basename "$f" .h | tr a-z- A-Z_)
    grep -qE "^#ifndef SONDE_([A-Z0-9_]+_)?${name}_H$" "$f" || fault "$f: its guard is not SONDE_..._${name}_H"
done

# --- Talking and ending the process is app's business ------------------------------------------
check
for f in $(grep -v '^app/' <<<"$sources"); do
    while read -r line; do fault "$f:$line: no printing, no exit outside app/"; done < <(
        sed -e 's@//.*@@' -e 's@/\*.*\*/@@' -e 's/"[^"]*"/""/g' "$f" |
            grep -nE '(^|[^a-zA-Z0-9_.>])(printf|vprintf|puts|putchar|perror|exit|_exit|abort) *\(|fprintf *\( *std(out|err)' |
            cut -d: -f1)
done
check
for f in $sources; do
    ! grep -nE '^typedef (struct|union)' "$f" | sed "s@^@FAULT $f: a typedef of a struct: @" | grep . ||
        faults=$((faults + 1))
done

# --- Words that have no place ------------------------------------------------------------------
check
todo='TO''DO|FIX''ME|X''XX|HA''CK'
place='/wo''rk/|/opt/re''f|/home/[a-z]|/ro''ot/|\\bis''sue [0-9]'
while read -r f; do
    [ -f "$f" ] || continue
    grep -Iq . "$f" || continue
    while read -r line; do fault "$f:$line"; done < <(
        grep -nE "(^|[^a-zA-Z_])($todo)([^a-zA-Z_]|$)|$place" "$f" | cut -c1-120)
    case $f in
    *.c | *.h | *.sh | *.py | *.build | *.md)
        grep -nE '[[:blank:]]+$' "$f" | head -1 | grep -q . && fault "$f: blanks at the end of a line"
        [ -z "$(tail -c1 "$f")" ] || fault "$f: no newline at the end"
        ;;
    esac
done < <(tracked)

# --- Lengths -----------------------------------------------------------------------------------
for f in $sources; do
    n=$(wc -l <"$f")
    [ "$n" -le 1000 ] || warn "$f has $n lines; split it"
    [[ $f == *.h && $n -gt 120 ]] && warn "$f has $n lines; a header fits on a screen"
    awk -v f="$f" '
        /^[a-z].*[^;]$/ && !/^(static )?(const )?(struct|enum|union)[^(]*[{=]/ { begin = NR; name = $0 }
        /^}/ && begin { if (NR - begin > 100) printf "%s:%d: %d lines: %s\n", f, begin, NR - begin, name; begin = 0 }
    ' "$f" | while read -r line; do echo "warning: $line"; done
done

# --- Format and history ------------------------------------------------------------------------
if command -v clang-format >/dev/null; then
    check
    c_files=$(find $rooms tests -name '*.[ch]')
    bad=$(clang-format --dry-run -Werror $c_files 2>&1 | grep -oE '^[a-zA-Z0-9_/.-]+\.[ch]:' | sort -u)
    for f in $bad; do fault "${f%:} is not formatted: clang-format -i ${f%:}"; done
else
    echo "note: no clang-format here, format not checked"
fi
if git rev-parse --git-dir >/dev/null 2>&1 && [ "$(git rev-parse --show-toplevel)" = "$(pwd -P)" ]; then
    check
    while read -r subject; do
        [[ $subject =~ ^[a-z0-9][a-z0-9/,\ _.-]*:\ [^[:space:]].*[^.]$ && ${#subject} -le 100 ]] ||
            fault "commit subject \"$subject\": write room: what changes, at most 72 columns"
        [ ${#subject} -le 72 ] || warn "commit subject over 72 columns: $subject"
    done < <(git log --no-merges --format=%s -n 200)
fi

echo "house: $checks checks, $warnings warnings, $faults faults"
[ "$faults" -eq 0 ]
