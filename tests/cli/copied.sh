#!/bin/bash
# A copied program still has its model: run from an empty folder, where nothing else can be found.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$1" "$folder/copy" && cd "$folder" || exit 1
export HOME=$folder XDG_CACHE_HOME=$folder SONDE_CONFIG=/dev/null
unset SONDE_MODELS HF_HOME HF_HUB_CACHE
text='When Mara and Tobin went to the harbour, Mara gave the lantern to'
tokens=$(./copy tokens -p "$text") || exit 1
for word in Mara Tobin harbour lantern; do
    if ! grep -q "\"Ġ$word\"" <<<"$tokens"; then
        echo "FAILED: $word is not one token: $tokens"
        exit 1
    fi
done
next=$(./copy generate -p "$text" --max-new-tokens 1 2>&1) || { echo "$next"; exit 1; }
if [[ $next != *'lantern to Tobin'* ]]; then
    echo "FAILED: the embedded model goes on with: $next"
    exit 1
fi
