#!/bin/bash
# From a fresh Debian 12 to the first answer: installs what is missing, builds, shows what the built-in
# model does with a sentence, and writes the same numbers to a report.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
. app/packages.sh
need $build_packages libcmocka-dev python3-numpy
{ [ -f build/build.ninja ] || meson setup build; } >build.log 2>&1 && ninja -C build >>build.log 2>&1 || {
    tail -30 build.log
    exit 1
}
text='When Mara and Tobin went to the harbour, Mara gave the lantern to'
build/app/sonde run lens,dla -p "$text"
build/app/sonde run logits,lens,dla,attention,norms -p "$text" -o build/first.h5
echo
echo "The same numbers are in build/first.h5: build/app/sonde show build/first.h5"
echo "The workbench: build/app/sonde"
