#!/usr/bin/env python3
"""Memory does not grow with the number of prompts: flat.py SONDE. 10 inputs and 1,000 have the same peak to
5 %, results in a file, for every analysis there is; and in print, for one of each kind. Nothing large is imported here: the peak of a process
counts what it was before."""
import os
import subprocess
import sys
import tempfile

SONDE = os.path.abspath(sys.argv[1])
SANITIZED = b"__asan_init" in open(SONDE, "rb").read()  # keeps what was freed: its peak says nothing
BOUND = 0.05
# Each with what narrows the work to seconds; pairs or prompts, by what it takes.
RUNS = {"logits": "", "lens": "", "dla": "", "attention": "", "norms": "", "activations": "",
        "gradients": "", "patch": "--site resid_pre", "attr": "", "ablate": "--mode zero --site head_z",
        "trace": "--samples 1 --window 1", "heads": "", "saliency": "--steps 2 --tolerance 0",
        "edges": "--method eap --sizes 20", "path": "", "dossier": "--of L1H1"}
PRINTED = ["lens", "patch", "trace", "ablate"]


def pairs(folder, n):
    path = os.path.join(folder, f"{n}.jsonl")
    text = subprocess.run([SONDE, "dataset", "-q", "ioi_tiny:8000", "--seed", "3"], check=True,
                          capture_output=True, text=True).stdout.splitlines(True)
    # Two lengths in turn, the same in both files.
    by = {}
    for line in text:
        by.setdefault(len(line.split('"')[7].replace(",", " ,").split()), []).append(line)
    lists = sorted(by.values(), key=len)[-2:]
    with open(path, "w") as f:
        f.writelines(lists[i % 2][i // 2] for i in range(n))
    return path


def peak(folder, run, path, printed):
    """KB, of one run in a process of its own."""
    out = os.path.join(folder, "out.h5")
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.execv(SONDE, [SONDE, "run", *run.split(), "-q", "-t", "1", "-f", path,
                         *([] if printed else ["-o", out])])
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"{run} on {path}: status {status}")
    if not printed:
        os.unlink(out)
    return usage.ru_maxrss


def main():
    bad = 0
    with tempfile.TemporaryDirectory(prefix="sonde-flat-") as folder:
        os.environ["XDG_STATE_HOME"] = folder
        os.environ.pop("MALLOC_PERTURB_", None)  # touches what a run leaves untouched
        few, many = pairs(folder, 10), pairs(folder, 1000)
        listed = subprocess.run([SONDE, "list", "analyses"], check=True, capture_output=True, text=True)
        names = [line.split()[0] for line in listed.stdout.splitlines()]
        for name, printed in [(x, False) for x in names] + [(x, True) for x in PRINTED]:
            run = f"{name} {RUNS[name]}".strip()
            grown = 1.0
            # What the allocator finds free varies by a few hundred KB between runs of one command.
            for n in (1,) if SANITIZED else (1, 5):
                small, large = (sorted(peak(folder, run, path, printed) for _ in range(n))[n // 2]
                                for path in (few, many))
                grown = large / small - 1
                if grown < 0.8 * BOUND:
                    break
            fails = grown > BOUND and not SANITIZED
            bad += fails
            print(f"{'FAIL' if fails else 'ok'}: {run}{' in print' if printed else ''}: {small} KB for 10 inputs, {large} KB "
                  f"for 1,000, {100 * grown:.1f} % more", flush=True)
    return bad > 0


sys.exit(main())
