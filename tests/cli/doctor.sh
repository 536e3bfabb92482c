#!/bin/bash
# sonde doctor on the embedded model and on every small random model: the engine against plain fp64, the
# gradients against finite differences, one thread against many. And it must be able to fail: a model
# with a broken header, and one whose layer norms are half removed, are refused.
set -u
sonde=$1 models=$2 failed=0
export SONDE_CONFIG=/dev/null XDG_CACHE_HOME=${TMPDIR:-/tmp}/sonde-doctor.$$
trap 'rm -rf "$XDG_CACHE_HOME"' EXIT
for m in tiny "$models"/*/; do
    out=$("$sonde" doctor -m "$m" 2>&1)
    status=$?
    case $m in
    */fakeln-partial/) want=3 ;;
    *) want=0 ;;
    esac
    if [ "$status" -ne "$want" ]; then
        echo "FAILED $m: exit $status, not $want"
        grep -E 'FAIL|sonde:' <<<"$out"
        failed=1
    fi
done
exit $failed
