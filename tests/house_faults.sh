#!/bin/bash
# Plants one fault of every kind in a copy of the sources: the house test must name each, and fail.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cd "$root" || exit 1
tar c --exclude='build*' --exclude=.git --exclude=__pycache__ . | tar x -C "$copy"
cd "$copy" || exit 1
failed=0

mkdir -p views
cat >views/planted.c <<'C'
#include <hdf5.h>
#include "model/core/nowhere.h"
#include "model/forward.h"
typedef struct planted planted;
static void talk(void)
{
    printf("hello");
    exit(1);
      }
C
echo 'struct lonely { size_t n; enum nothing_like_it x; }; ' >model/core/lonely.h
printf 'int no_newline;' >model/core/no_newline.h
mark='TO''DO'
echo "# $mark later, see /ro""ot/notes" >>tests/house.sh

out=$(bash tests/house.sh "$copy" 2>&1)
status=$?
[ "$status" -ne 0 ] || { echo "FAILED: the house test passes with faults in it"; failed=1; }
while read -r want; do
    grep -qF "$want" <<<"$out" || { echo "FAILED: not noticed: $want"; failed=1; }
done <<'END'
views/planted.c includes model/forward.h: its room may not
views/planted.c includes model/core/nowhere.h: no such file
views/planted.c includes hdf5: only
views/planted.c is in no meson.build
views/planted.c:7: no printing
views/planted.c:8: no printing
views/planted.c: a typedef of a struct
model/core/lonely.h does not compile alone
model/core/lonely.h: its guard is not SONDE_..._LONELY_H
model/core/lonely.h: blanks at the end of a line
model/core/no_newline.h: no newline at the end
tests/house.sh:
END
if command -v clang-format >/dev/null; then
    grep -qF 'views/planted.c is not formatted' <<<"$out" || { echo 'FAILED: format'; failed=1; }
fi
[ "$failed" -eq 0 ] && echo 'every planted fault was noticed'
exit $failed
